"""What this machine could do at best: products per second, memory, decoding.

A ceiling is the most that was ever seen, so the best of several turns counts. Products run in
OpenVINO on the CPU, as the inspector does there, and in PyTorch on a GPU. `measure_ceilings` runs
this file once for each, in a process of its own, free of other thread pools.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sihwa.benchmark.variant import LeftOut
from sihwa.benchmark.worker_process import last_line
from sihwa.errors import RuntimeUnavailable
from sihwa.images import Decoding, available_cores, decode_image, read_bytes, read_image
from sihwa.inspector import read_bundle
from sihwa.inspector.strict_json import Facts
from sihwa.terminal.progress import progress_bar

Task = Callable[[], object]

_TURNS = 5
_PATIENCE_S = 300  # one device takes some seconds
_SIZES = (512, 1024, 2048)
"""Of the matrices: a small one fits a core's own cache, a large one keeps all cores busy."""
_COPY_BYTES = 128 * 2**20
"""Per thread: more than any cache holds."""


class Ceiling(Facts, frozen=True):
    """The most of one device: a GPU, or so many threads of the CPU, 0 for all cores.

    `gflop_per_s` is of matrix products, by precision. `memory_gb_per_s` counts what a copy reads
    and writes. Decoding and `preprocessing_ms` (see `time_preprocessing`) are of the CPU only.
    """

    gflop_per_s: dict[str, float]
    memory_gb_per_s: float
    threads: int = 0
    decoded_images_per_s: float | None = None
    decoded_megapixels_per_s: float | None = None
    preprocessing_ms: float | None = None


class Ceilings(Facts, frozen=True):
    """All that was measured, and what failed."""

    cpu: list[Ceiling]
    gpus: dict[str, Ceiling]
    failed: list[LeftOut]

    def of(self, device: str, threads: int) -> Ceiling | None:
        """Return the ceiling of a variant; None where it was not measured."""
        if device != "cpu":
            return self.gpus.get(device)
        return next((one for one in self.cpu if one.threads == threads), None)


def measure_ceilings(
    inspector: Path, paths: Sequence[str], devices: Sequence[str], threads: Sequence[int]
) -> Ceilings:
    """Measure the ceilings of each device, and on the CPU of each number of threads."""
    found = Ceilings([], {}, [])
    jobs = [("cpu", count) for count in threads]
    jobs += [(device, 0) for device in devices if device != "cpu"]
    with progress_bar("measuring ceilings", len(jobs), "steps") as advance:
        for device, count in jobs:
            try:
                ceiling = _run(device, count, str(inspector), list(paths))
            except RuntimeUnavailable as error:
                found.failed.append(LeftOut(device, str(error)))
            else:
                if device == "cpu":
                    found.cpu.append(ceiling)
                else:
                    found.gpus[device] = ceiling
            advance(1)
    return found


def _run(device: str, threads: int, inspector: str, paths: list[str]) -> Ceiling:
    try:
        done = subprocess.run(
            [sys.executable, "-P", __file__],
            input=json.dumps([device, threads, inspector, paths]),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeUnavailable(f"it did not end within {_PATIENCE_S} s") from error
    if done.returncode:
        raise RuntimeUnavailable(last_line(done.stderr, done.returncode))
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Ceiling)


def main() -> None:
    """Measure what one line of JSON on standard input names; answer by one on standard output."""
    device, threads, inspector, paths = json.loads(sys.stdin.readline())
    cpu = device == "cpu"
    ceiling = probe_cpu(Path(inspector), threads, paths) if cpu else probe_cuda(device)
    print(msgspec.json.encode(ceiling).decode())  # noqa: T201


def best_rate(
    task: Task, amount: float, clock: Callable[[], float] = time.perf_counter, turns: int = _TURNS
) -> float:
    """Return amount per second of the fastest of some turns; one before them warms up.

    >>> best_rate(lambda: None, 6.0, iter([0.0, 3.0, 3.0, 5.0]).__next__, turns=2)
    3.0
    """
    task()
    seconds = []
    for _ in range(turns):
        began = clock()
        task()
        seconds.append(clock() - began)
    return amount / max(min(seconds), 1e-9)


def probe_cpu(
    inspector: Path, threads: int, paths: Sequence[str], sizes: Sequence[int] = _SIZES
) -> Ceiling:
    """Return the ceiling of some threads of the CPU, 0 for all; `sizes` are of the matrices."""
    import openvino

    count = threads or available_cores()
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = ("fp32", "bf16", "int8") if has_bf16 else ("fp32", "int8")
    products = {
        precision: max(
            best_rate(_product(size, precision, count), 2 * size**3) / 1e9 for size in sizes
        )
        for precision in precisions
    }
    with ThreadPoolExecutor(count) as pool:
        copied = best_rate(_copying(pool, count), 2 * count * _COPY_BYTES) / 1e9
        images_per_s, megapixels = _decode_rate(pool, paths, count, _decoding(inspector))
    return Ceiling(
        gflop_per_s=products,
        memory_gb_per_s=copied,
        threads=threads,
        decoded_images_per_s=images_per_s,
        decoded_megapixels_per_s=megapixels,
        preprocessing_ms=time_preprocessing(inspector, threads, paths),
    )


def _product(size: int, precision: str, threads: int) -> Task:
    import openvino
    from openvino import opset13

    rng = np.random.default_rng(0)
    left, right = rng.uniform(-1, 1, (2, size, size)).astype(np.float32)
    given = opset13.parameter([size, size], np.float32, name="given")
    factors = [given, opset13.constant(right)]
    if precision == "int8":
        ends = np.float32(-1), np.float32(1)
        factors = [opset13.fake_quantize(factor, *ends, *ends, 255) for factor in factors]
    model = openvino.Model([opset13.matmul(*factors, False, False)], [given], "product")
    request = _compile(model, threads, "bf16" if precision == "bf16" else "f32")
    return lambda: request.infer({"given": left}, share_inputs=True, share_outputs=True)


def _compile(model: Any, threads: int, precision: str = "f32") -> Any:  # noqa: ANN401
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


def _copying(pool: ThreadPoolExecutor, threads: int) -> Task:
    pairs = [np.ones((2, _COPY_BYTES // 8)) for _ in range(threads)]
    return lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs))


def _decode_rate(
    pool: ThreadPoolExecutor, paths: Sequence[str], threads: int, decoding: Decoding
) -> tuple[float, float]:
    contents = [(read_bytes(path), path, decoding) for path in paths[:64]]
    images = [decode_image(*content) for content in contents]
    pixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    many = contents * threads
    rate = best_rate(lambda: list(pool.map(lambda one: len(decode_image(*one)), many)), len(many))
    return rate, rate * pixels / len(contents)


def _decoding(inspector: Path) -> Decoding:
    """Return how images are decoded; those to measure on were checked against a limit before."""
    return Decoding(sys.maxsize, read_bundle(inspector).card.white)


def time_preprocessing(
    inspector: Path,
    threads: int,
    paths: Sequence[str],
    clock: Callable[[], int] = time.perf_counter_ns,
) -> float | None:
    """Return the median ms of the graph up to its first convolution; None without one."""
    import openvino

    model = openvino.Core().read_model(read_bundle(inspector).graph)
    first = next(filter(is_convolution, model.get_ordered_ops()), None)
    if first is None:
        return None
    cut = openvino.Model([first.input_value(0)], model.get_parameters(), "preprocessing")
    request = _compile(cut, threads)
    decoding = _decoding(inspector)
    images = [read_image(path, decoding)[None] for path in paths[:64]]
    spans = []
    for image in images * (1 + _TURNS):
        began = clock()
        request.infer({"image": image}, share_inputs=True)
        spans.append(clock() - began)
    return float(np.median(spans[len(images) :])) / 1e6  # the first turn warms up


def is_convolution(node: Any) -> bool:  # noqa: ANN401 -- openvino has no types
    """Return whether a node of an OpenVINO graph is a convolution."""
    return node.get_type_name() in ("Convolution", "GroupConvolution")


def probe_cuda(device: str, size: int = 8192) -> Ceiling:
    """Return the ceiling of a GPU, by PyTorch; `size` of the matrices is a multiple of 16."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    where = torch.device(device)

    def rate(task: Task, amount: float) -> float:
        def whole() -> None:
            task()
            if where.type == "cuda":  # a call only hands the work over
                torch.cuda.synchronize(where)

        return best_rate(whole, amount) / 1e9

    flop = 2 * size**3
    products = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        factor = torch.rand(size, size, device=where).to(dtype)
        products[name] = rate(lambda f=factor: f @ f, flop)  # type: ignore[misc]
    whole = torch.randint(-127, 127, (size, size), dtype=torch.int8, device=where)
    products["int8"] = rate(lambda: torch._int_mm(whole, whole.t()), flop)
    source = torch.ones(size * size, device=where)
    target = torch.empty_like(source)
    moved = rate(lambda: target.copy_(source), 2 * source.nbytes)
    return Ceiling(products, moved)


if __name__ == "__main__":
    main()
