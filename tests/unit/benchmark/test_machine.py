"""The machine, its ceilings, and the work of an inspector."""

from pathlib import Path

import pynvml
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sihwa.benchmark.ceilings import (
    Ceiling,
    Ceilings,
    measure_ceilings,
    probe_cpu,
    probe_cuda,
    time_preprocessing,
)
from sihwa.benchmark.environment import Gpu, describe_conditions, describe_environment, open_gpus
from sihwa.benchmark.roofline import Work, count_work, reach_of
from sihwa.inspector import read_bundle
from sihwa.inspector.runtime.torch_runtime import time_by_events
from sihwa.model import Network
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images


def test_gpu_value_not_reported_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", refuse)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", refuse)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", refuse)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda *_: 41)
    assert Gpu(object()).joules() is None
    assert Gpu(object()).state() == {"mhz": None, "celsius": 41, "used_mib": None}


def test_open_gpus_without_driver_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert open_gpus(["cpu", "cuda:0"]) == {}


class FakeEvent:
    """A moment of a device whose time the test sets."""

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


def test_describe_environment_names_what_was_measured() -> None:
    found = describe_environment(("cpu", "cuda:7"))
    assert found.usable_cores >= 1
    assert found.versions["onnxruntime"]
    assert "no NVIDIA" in found.gpus["cuda:7"]
    assert describe_conditions(3, {}).round == 3


def test_probe_cpu_measures_each_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sihwa.benchmark.ceilings._COPY_BYTES", 2**16)
    paths = [str(path) for path in save_images(tmp_path, random_images(3, 40, 50))]
    found = probe_cpu(FOLDER, 1, paths, sizes=(32,))
    assert {"fp32", "int8"} <= found.gflop_per_s.keys()
    assert found.decoded_images_per_s
    assert found.decoded_megapixels_per_s
    pixels = found.decoded_megapixels_per_s / found.decoded_images_per_s
    assert pixels == pytest.approx(40 * 50 / 1e6)
    assert found.memory_gb_per_s > 0
    assert found.preprocessing_ms is None  # there is no convolution


def test_probe_cuda_on_a_stand_in_device() -> None:
    found = probe_cuda("cpu", size=32)
    assert set(found.gflop_per_s) == {"fp32", "bf16", "fp16", "int8"}
    assert min(*found.gflop_per_s.values(), found.memory_gb_per_s) > 0


def test_time_preprocessing_is_the_median_of_all_images(tiny_bundle: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in save_images(tmp_path / "p", random_images(2, 40, 50))]
    ticks = iter(range(0, 10**9, 3_000_000))
    assert time_preprocessing(tiny_bundle, 1, paths, lambda: next(ticks)) == 3.0


def test_measure_ceilings_failure_is_listed_with_its_reason(tmp_path: Path) -> None:
    found = measure_ceilings(tmp_path / "missing", [], ["cuda:77"], [])
    assert (found.cpu, found.gpus) == ([], {})
    [failure] = found.failed
    assert failure.name == "cuda:77"
    assert failure.reason.endswith("(exit code 1)")


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


WORK = Work(flop=2_000_000_000, preprocess_flop=0, weights=25_000_000, image_bytes=0)


@pytest.mark.parametrize(
    ("gflop", "memory", "bound", "one_by_one", "batch_of_10"),
    [
        pytest.param(100, 1000, "products", 50, 50, id="products"),
        pytest.param(1000, 5, "memory", 50, 500, id="memory, until a batch shares the weights"),
    ],
)
def test_reach_of_is_a_share_of_the_lower_ceiling(
    gflop: float, memory: float, bound: str, one_by_one: float, batch_of_10: float
) -> None:
    ceiling = Ceiling({"fp32": gflop}, memory)
    single, batch = (reach_of(WORK, "fp32", ceiling, size, 25) for size in (1, 10))
    assert single.bound == bound
    assert single.ceiling_images_per_s == pytest.approx(one_by_one)
    assert single.share == pytest.approx(25 / one_by_one)
    assert batch.ceiling_images_per_s == pytest.approx(batch_of_10)


def test_ceilings_of_a_variant_are_of_its_device_and_threads() -> None:
    cpu, gpu = Ceiling({}, 1, threads=1), Ceiling({}, 2)
    ceilings = Ceilings([cpu], {"cuda": gpu}, [])
    assert ceilings.of("cpu", 1) is cpu
    assert ceilings.of("cuda", 0) is gpu
    assert ceilings.of("cpu", 0) is ceilings.of("cuda:1", 0) is None
