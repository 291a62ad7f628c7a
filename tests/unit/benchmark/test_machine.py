"""What the machine tells of itself, and its ceilings."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pynvml
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sihwa.benchmark.ceilings import _probe
from sihwa.benchmark.environment import describe_conditions, describe_environment
from sihwa.benchmark.gpu import Gpu, open_gpu
from sihwa.benchmark.machine_probe import (
    best_rate,
    probe_cpu,
    probe_cuda,
    probe_disk,
    probe_preprocessing,
)
from sihwa.benchmark.power import PackageMeter, energy_meter
from sihwa.benchmark.roofline import roofline_share
from sihwa.benchmark.work import Work, count_work, cut_preprocessing
from sihwa.inspector import read_bundle
from sihwa.inspector.runtime.torch_runtime import time_by_events
from sihwa.model import Network
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images


def make_zone(root: Path, name: str, joules: float, most: float = 1000) -> Path:
    zone = root / name
    zone.mkdir(parents=True, exist_ok=True)
    kind = "core" if name.count(":") == 2 else f"package-{name[-1]}"
    (zone / "name").write_text(f"{kind}\n")
    (zone / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (zone / "max_energy_range_uj").write_text(f"{int(most * 1e6)}\n")
    return zone


def test_package_meter_sums_packages_and_leaves_their_parts_out(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        make_zone(tmp_path, name, 10)
    meter = PackageMeter(tmp_path)
    assert meter() == 0
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        make_zone(tmp_path, name, 15)
    assert meter() == 10


def test_package_meter_goes_on_when_a_counter_starts_anew(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", 995)
    meter = PackageMeter(tmp_path)
    meter()
    make_zone(tmp_path, "intel-rapl:0", 7)
    assert meter() == pytest.approx(12)


def test_package_meter_without_counters_tells_nothing(tmp_path: Path) -> None:
    assert PackageMeter(tmp_path)() is None
    make_zone(tmp_path, "intel-rapl:0", 1).joinpath("energy_uj").unlink()
    assert PackageMeter(tmp_path)() is None


def test_gpu_value_not_reported_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", refuse)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda *_: 41)
    assert (Gpu(object()).joules(), Gpu(object()).celsius()) == (None, 41)


def test_open_gpu_without_driver_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert open_gpu("cuda:0") is None
    assert open_gpu("cpu") is None
    assert energy_meter("cuda")() is None


class FakeEvent:
    """A moment of a device whose time is a number that somebody moves."""

    now_ms = 0.0

    def __init__(self) -> None:
        self.at: float | None = None
        self.is_passed = False

    def record(self) -> None:
        self.at = FakeEvent.now_ms

    def synchronize(self) -> None:
        self.is_passed = True

    def elapsed_time(self, other: "FakeEvent") -> float:
        assert other.is_passed, "read before the device was there"
        assert self.at is not None
        assert other.at is not None
        return other.at - self.at


def test_time_by_events_is_the_time_between_them_and_waits() -> None:
    def work() -> None:
        FakeEvent.now_ms += 1.25

    assert time_by_events(work, FakeEvent) == 1_250_000


def test_describe_environment_says_what_it_is() -> None:
    found = describe_environment(("cpu", "cuda:7"))
    assert found["cpu"]["usable_cores"] >= 1
    assert found["versions"]["onnxruntime"]
    assert "no NVIDIA card 7" in found["gpus"]["cuda:7"]["model"]
    assert describe_conditions(("cpu",))["gpus"] == {}


def test_best_rate_is_the_fastest_turn_after_one_to_warm_up() -> None:
    calls: list[int] = []
    clock = iter([0.0, 4.0, 10.0, 12.0, 20.0, 23.0])
    assert best_rate(lambda: calls.append(1), 10.0, clock.__next__, turns=3) == 5.0
    assert len(calls) == 4


def test_probe_cpu_measures_each_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sihwa.benchmark.machine_probe._COPY_BYTES", 2**16)
    paths = [str(path) for path in save_images(tmp_path, random_images(3, 40, 50))]
    found = probe_cpu(1, paths, sizes=(32,))
    assert {"fp32", "int8"} <= found["gflop_per_s"].keys()
    pixels = found["decoded_megapixels_per_s"] / found["decoded_images_per_s"]
    assert pixels == pytest.approx(40 * 50 / 1e6)
    assert found["memory_gb_per_s"] > 0


def test_probe_cuda_on_a_stand_in_device() -> None:
    found = probe_cuda("cpu", size=32)
    assert set(found["gflop_per_s"]) == {"fp32", "bf16", "fp16", "int8"}
    assert min(*found["gflop_per_s"].values(), found["memory_gb_per_s"]) > 0


def test_probe_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sihwa.benchmark.machine_probe._FILE_BYTES", 2**16)
    paths = [str(path) for path in save_images(tmp_path / "images", random_images(3, 40, 50))]
    before = [Path(path).read_bytes() for path in paths]
    found = probe_disk(tmp_path, paths)
    if hasattr(os, "posix_fadvise"):
        assert found is not None
        assert found["images_per_s"] > 0
    else:
        assert found is None
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    assert [Path(path).read_bytes() for path in paths] == before


def test_probe_preprocessing_of_a_graph_without_convolutions_is_none(tmp_path: Path) -> None:
    assert probe_preprocessing(str(FOLDER), 1, []) is None


def test_probe_preprocessing_times_each_image(tiny_bundle: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in save_images(tmp_path / "p", random_images(2, 40, 50))]
    ticks = iter(range(0, 10**9, 3_000_000))
    found = probe_preprocessing(str(tiny_bundle), 1, paths, lambda: next(ticks))
    assert found == {"threads": 1, "samples": 10, "p50_ms": 3.0}


def test_probe_runs_in_a_process_of_its_own(tiny_bundle: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in save_images(tmp_path / "p", random_images(1, 40, 50))]
    found = _probe(probe="preprocessing", inspector=str(tiny_bundle), threads=1, paths=paths)
    assert found["p50_ms"] > 0


def test_count_work_equals_the_counter_of_pytorch(tiny_bundle: Path, tiny_network: Network) -> None:
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        tiny_network(torch.zeros(1, 90, 70, 3, dtype=torch.uint8))
    found = count_work(read_bundle(tiny_bundle), 90, 70)
    assert 0 < found.preprocess_flop < found.flop
    assert found.flop == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_count_work_counts_weights_and_what_goes_in_and_out(
    tiny_bundle: Path, tiny_network: Network
) -> None:
    found = count_work(read_bundle(tiny_bundle), 90, 70)
    held = [*tiny_network.parameters(), *tiny_network.unknown.buffers()]
    # batch normalisation is folded into the convolutions; the rest is shapes and axes
    assert found.weights == pytest.approx(sum(value.numel() for value in held), rel=0.02)
    assert found.image_bytes > 90 * 70 * 3


def test_cut_preprocessing_gives_the_prepared_image(tiny_bundle: Path) -> None:
    run = cut_preprocessing(read_bundle(tiny_bundle), 1)
    assert run is not None
    [prepared] = run(random_images(1, 90, 70)).values()  # type: ignore[attr-defined]
    assert prepared.shape == (1, 3, 64, 64)
    assert np.isfinite(prepared).all()


WORK = Work(flop=2_000_000_000, preprocess_flop=0, weights=25_000_000, image_bytes=0)
VARIANT = {
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "model": {"p50": {"value_ms": 40.0}},
    "throughput": [{"batch": 1, "images_per_s": 25.0}, {"batch": 10, "images_per_s": 40.0}],
}


def ceilings(gflop: float, memory: float) -> dict[str, Any]:
    one = {"threads": 1, "gflop_per_s": {"fp32": gflop}, "memory_gb_per_s": memory}
    return {"cpu": [one], "gpus": {}}


def test_roofline_share_bound_by_products() -> None:
    found = roofline_share(VARIANT, WORK, ceilings(100, 1000))
    assert found is not None
    assert found["one_by_one"]["bound"] == "products"
    assert found["one_by_one"]["ceiling_images_per_s"] == pytest.approx(50)
    assert found["one_by_one"]["share"] == pytest.approx(0.5)
    assert found["best_batch"]["share"] == pytest.approx(0.8)


def test_roofline_share_bound_by_memory_until_a_batch_shares_the_weights() -> None:
    found = roofline_share(VARIANT, WORK, ceilings(1000, 5))
    assert found is not None
    assert found["one_by_one"]["bound"] == "memory"
    assert found["one_by_one"]["ceiling_images_per_s"] == pytest.approx(50)
    assert found["best_batch"]["ceiling_images_per_s"] == pytest.approx(500)


@pytest.mark.parametrize("changed", [{"precision": "int8"}, {"device": "cuda"}, {"threads": 0}])
def test_roofline_share_without_a_ceiling_is_none(changed: dict[str, Any]) -> None:
    assert roofline_share({**VARIANT, **changed}, WORK, ceilings(100, 5)) is None
