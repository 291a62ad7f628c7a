"""What the Ray engine refuses, without a cluster: one line, with what to do."""

import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sihwa.errors import ConfigError, InvalidInspector, RuntimeUnavailable, SihwaError
from sihwa.scoring import Row, ScoreOptions, open_ray_engine
from sihwa.scoring.block import Entry
from sihwa.scoring.ray_engine import _checked, plan_workers
from tests.helpers import random_images, save_images


def connect(inspector: Path, **given: str | None) -> None:
    with open_ray_engine(inspector, ScoreOptions(engine="ray", **given)):  # type: ignore[arg-type]
        pass


def test_ray_engine_without_ray_names_the_pip_line(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RuntimeUnavailable, match=r'needs ray, .* pip install "sihwa\[ray\]"'):
        connect(tiny_bundle)


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "h:x", "closed"])
@pytest.mark.parametrize("through", ["argument", "environment"])
def test_ray_engine_address_where_nothing_answers_is_refused_at_once(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, through: str, address: str
) -> None:
    ray = ModuleType("ray")
    ray.is_initialized = lambda: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", ray)
    if address == "closed":
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(RuntimeUnavailable, match=rf"{address}: nothing answers there .*HOST:PORT"):
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
def test_plan_workers_gpus_get_their_share_of_cores(
    machines: list[dict[str, Any]], device: str, workers: int, expected: tuple[str, int, int]
) -> None:
    assert plan_workers(machines, device, workers) == expected


@pytest.mark.parametrize(
    ("machines", "device", "workers", "match"),
    [
        pytest.param([machine(8)], "cuda", 0, "1 cores and a GPU, got 8 cores and 0", id="no card"),
        pytest.param([machine(2)] * 2, "cpu", 4, "4 cores, got 2 .* Lower --workers", id="few"),
        pytest.param([], "cpu", 0, "got none", id="no machine"),
        pytest.param([machine(8, 8)], "cuda:1", 0, "must be auto, cpu or cuda", id="one card"),
    ],
)
def test_plan_workers_work_that_fits_nowhere_is_refused(
    machines: list[dict[str, Any]], device: str, workers: int, match: str
) -> None:
    with pytest.raises(SihwaError, match=match):
        plan_workers(machines, device, workers)


def test_checked_file_that_only_a_worker_cannot_read_ends_the_run(tmp_path: Path) -> None:
    [there] = map(str, save_images(tmp_path, random_images(1, 8, 8)))
    gone = str(tmp_path / "gone.png")
    rows: list[Row] = [
        {"path": name, "path_bytes": None, "page": None, "sha256": None} for name in (gone, there)
    ]
    assert _checked(rows[:1], [Entry(gone)]) == rows[:1]  # missing here too: that is its row
    with pytest.raises(RuntimeUnavailable, match=r"a machine cannot read .*000.png.* --resume"):
        _checked(rows, [Entry(gone), Entry(there)])
    with pytest.raises(ConfigError, match="refused there"):
        _checked(ConfigError("refused there"), [])
