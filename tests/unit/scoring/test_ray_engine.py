"""What the Ray engine refuses, without a cluster: one line, with what to do."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sihwa.errors import ClusterError, ConfigError, InvalidInspector, PackageMissing, SihwaError
from sihwa.scoring import ScoreOptions, ray_engine
from sihwa.scoring.ray_engine import _Machines, _RayWorkers
from sihwa.scoring.ray_worker import Said
from sihwa.scoring.shares import Lost
from tests.helpers import random_images, save_images


def connect(inspector: Path, **given: str | None) -> None:
    with ray_engine(inspector, ScoreOptions(), **given):  # type: ignore[arg-type]
        pass


def test_ray_engine_without_ray_names_the_pip_line(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PackageMissing, match=r'needs ray, .* pip install "sihwa\[ray\]"'):
        connect(tiny_bundle)


@pytest.mark.parametrize("address", ["head", "head:", "ray://head:10001", "http://h:1", "h:x"])
def test_ray_engine_address_of_another_kind_is_refused(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", stand_in())
    with pytest.raises(ConfigError, match=r"--address must be HOST:PORT, .*; got "):
        connect(tiny_bundle, address=address)


@pytest.mark.parametrize("through", ["argument", "environment"])
def test_ray_engine_address_where_nothing_answers_is_told_at_once(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    monkeypatch.setitem(sys.modules, "ray", stand_in())
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=rf"{address}: nothing answers there .*ray start"):
        connect(tiny_bundle, address=address if through == "argument" else None)


def test_ray_engine_damaged_inspector_is_refused_before_ray_is_started(tmp_path: Path) -> None:
    with pytest.raises(InvalidInspector, match="expected an inspector folder"):
        connect(tmp_path / "nowhere")


def machine(cores: float, cards: float = 0, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"CPU": cores, "GPU": cards}}


@pytest.mark.parametrize(
    ("machines", "device", "workers", "expected"),
    [
        pytest.param([machine(8), machine(4)], "auto", 0, ("cpu", 1, 12), id="no card"),
        pytest.param([machine(8), machine(5)], "cpu", 2, ("cpu", 2, 6), id="two threads each"),
        pytest.param([machine(8), machine(8, alive=False)], "cpu", 0, ("cpu", 1, 8), id="one dead"),
        pytest.param([machine(16, 2), machine(8)], "auto", 0, ("cuda", 8, 2), id="cards"),
        pytest.param([machine(16, 2), machine(8, 2)], "auto", 0, ("cuda", 4, 4), id="unlike"),
        pytest.param([machine(16, 2)], "cpu", 0, ("cpu", 1, 16), id="cards not asked for"),
    ],
)
def test_machines_cards_are_used_if_there_with_their_share_of_cores(
    machines: list[dict[str, Any]], device: str, workers: int, expected: tuple[str, int, int]
) -> None:
    found = _Machines(stand_in(machines), device, workers)
    assert (found.device, found.threads, found.count()) == expected
    assert found.share == {"num_cpus": expected[1], "num_gpus": int(expected[0] == "cuda")}


@pytest.mark.parametrize(
    ("machines", "device", "workers", "match"),
    [
        pytest.param([machine(8)], "cuda", 0, "1 cores and a GPU, got 8 cores and 0", id="no card"),
        pytest.param([machine(2)] * 2, "cpu", 4, "4 cores, got 2 .* Lower --workers", id="few"),
        pytest.param([], "cpu", 0, "got none", id="no machine"),
        pytest.param([machine(8, 8)], "cuda:1", 0, "must be auto, cpu or cuda", id="one card"),
    ],
)
def test_machines_work_that_fits_nowhere_is_refused(
    machines: list[dict[str, Any]], device: str, workers: int, match: str
) -> None:
    with pytest.raises(SihwaError, match=match):
        _Machines(stand_in(machines), device, workers)


def test_workers_file_that_only_they_cannot_read_ends_the_run(tmp_path: Path) -> None:
    [there] = save_images(tmp_path, random_images(1, 8, 8))
    gone = str(tmp_path / "gone.png")
    workers = workers_that_say(lambda: Said([{"path": gone}], [gone], "10.0.0.7"))
    assert workers.rows("reference") == [{"path": gone}]  # it is gone here, too: that is its row
    workers = workers_that_say(lambda: Said([], [gone, str(there)], "10.0.0.7"))
    with pytest.raises(ClusterError, match=r"machine 10.0.0.7 cannot read .*000.png.* --resume"):
        workers.rows("reference")


class TaskError(Exception):
    def __init__(self, cause: Exception | None) -> None:
        super().__init__("ray::score_share()\n  File x\nValueError: what it was")
        self.cause = cause


class Crashed(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (TaskError(ConfigError("told there")), ConfigError, "^told there$"),
        (TaskError(ValueError("odd\nthing")), ClusterError, "a worker failed: thing. Each machine"),
        (TaskError(None), ClusterError, "a worker failed: ValueError: what it was"),
        (Crashed(), Lost, "^$"),
    ],
    ids=["ours", "another", "without a cause", "lost"],
)
def test_workers_errors_become_one_line_or_a_loss(
    error: Exception, kind: type[Exception], match: str
) -> None:
    def fail() -> Said:
        raise error

    with pytest.raises(kind, match=match) as caught:
        workers_that_say(fail).rows("reference")
    assert "\n" not in str(caught.value)


def workers_that_say(say: Callable[[], Said]) -> "_RayWorkers":
    ray = stand_in([machine(1)])
    ray.get = lambda _: say()
    return _RayWorkers(ray, _Machines(ray, "cpu", 0), None)  # type: ignore[arg-type]


def stand_in(machines: list[dict[str, Any]] | None = None) -> Any:  # noqa: ANN401
    ray = ModuleType("ray")
    names = ("NodeDiedError", "LocalRayletDiedError", "OutOfMemoryError", "ObjectLostError")
    ray.exceptions = SimpleNamespace(  # type: ignore[attr-defined]
        RayTaskError=TaskError, WorkerCrashedError=Crashed, RayError=KeyError,
        **dict.fromkeys(names, Crashed),
    )  # fmt: skip
    ray.nodes = lambda: machines or []  # type: ignore[attr-defined]
    ray.put = lambda job: job  # type: ignore[attr-defined]
    ray.is_initialized = lambda: False  # type: ignore[attr-defined]
    ray.remote = lambda **_: lambda function: function  # type: ignore[attr-defined]
    return ray
