"""What this machine could do at best: products per second, memory, decoding, disk.

A ceiling is the most that was ever seen, so the best of several turns counts. Products run in
OpenVINO on the CPU, as the inspector does there, and in PyTorch on a GPU. `measure_ceilings` runs
this file in processes of their own, free of other thread pools.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sihwa.benchmark.work import cut_preprocessing
from sihwa.images import decode_image, read_bytes, read_image
from sihwa.inspector import read_bundle

Document = dict[str, Any]
Work = Callable[[], object]

_TURNS = 5
_SIZES = (512, 1024, 2048)
"""Of the matrices: a small one fits a core's own cache, a large one keeps all cores busy."""
_COPY_BYTES = 128 * 2**20
"""Per thread: more than any cache holds."""
_FILE_BYTES = 64 * 2**20
_PIECE_BYTES = 2**20
_GPU_SIZE = 8192


def best_rate(
    work: Work, amount: float, clock: Callable[[], float] = time.perf_counter, turns: int = _TURNS
) -> float:
    """Return amount per second of the fastest of some turns; one before them warms up.

    >>> best_rate(lambda: None, 6.0, iter([0.0, 3.0, 3.0, 5.0]).__next__, turns=2)
    3.0
    """
    work()
    seconds = []
    for _ in range(turns):
        began = clock()
        work()
        seconds.append(clock() - began)
    return amount / max(min(seconds), 1e-9)


def probe_cpu(threads: int, paths: Sequence[str], sizes: Sequence[int] = _SIZES) -> Document:
    """Return the ceilings of some threads of the CPU.

    Args:
        threads: At least 1.
        paths: Readable images.
        sizes: Of the matrices.

    Returns:
        Products in GFLOP/s by precision; memory in GB/s, read and written bytes of a copy together;
        decoding in images/s and megapixels/s.
    """
    import openvino

    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = ("fp32", "bf16", "int8") if has_bf16 else ("fp32", "int8")
    products = {
        precision: max(
            best_rate(_product(size, precision, threads), 2 * size**3) / 1e9 for size in sizes
        )
        for precision in precisions
    }
    with ThreadPoolExecutor(threads) as pool:
        copied = best_rate(_copying(pool, threads), 2 * threads * _COPY_BYTES) / 1e9
        images_per_s, megapixels = _decode_rate(pool, paths, threads)
    return {
        "threads": threads,
        "gflop_per_s": products,
        "memory_gb_per_s": copied,
        "decoded_images_per_s": images_per_s,
        "decoded_megapixels_per_s": megapixels,
    }


def _product(size: int, precision: str, threads: int) -> Work:
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
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer({"given": left}, share_inputs=True, share_outputs=True)


def _copying(pool: ThreadPoolExecutor, threads: int) -> Work:
    pairs = [np.ones((2, _COPY_BYTES // 8), np.float64) for _ in range(threads)]

    def copy(pair: Any) -> None:  # noqa: ANN401
        np.copyto(pair[0], pair[1])

    return lambda: list(pool.map(copy, pairs))


def _decode_rate(
    pool: ThreadPoolExecutor, paths: Sequence[str], threads: int
) -> tuple[float, float]:
    contents = [(read_bytes(path), path) for path in paths[:64]]
    images = [decode_image(*content) for content in contents]
    pixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    many = contents * threads
    rate = best_rate(lambda: list(pool.map(lambda one: len(decode_image(*one)), many)), len(many))
    return rate, rate * pixels / len(contents)


def probe_preprocessing(
    inspector: str,
    threads: int,
    paths: Sequence[str],
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Document | None:
    """Return how long the graph up to its first convolution takes in OpenVINO; None without one.

    Args:
        inspector: The inspector folder, or its .onnx file.
        threads: Of one inference; 0 is all cores.
        paths: Readable images, one at a time; each once untimed first.
        clock: Nanoseconds; another one only in tests.
    """
    run = cut_preprocessing(read_bundle(Path(inspector)), threads)
    if run is None:
        return None
    images = [read_image(path)[None] for path in paths[:64]]
    for image in images:
        run(image)
    spans = []
    for _ in range(_TURNS):
        for image in images:
            began = clock()
            run(image)
            spans.append(clock() - began)
    return {"threads": threads, "samples": len(spans), "p50_ms": float(np.median(spans)) / 1e6}


def probe_disk(folder: Path, paths: Sequence[str]) -> Document | None:
    """Return what the disks give that was not in memory; None where that cannot be arranged.

    Args:
        folder: Gets a file for the time of the measurement, read in one go.
        paths: Images, read one by one as a line does.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(os.urandom(_FILE_BYTES))
        file.flush()
        os.fsync(file.fileno())
        in_one = _cold_rate([file.name], _FILE_BYTES / 1e6)
    return {
        "sequential_mb_per_s": in_one,
        "images_per_s": _cold_rate(paths, len(paths)),
    }


def _cold_rate(paths: Sequence[str], amount: float) -> float:
    rates = []
    for _ in range(_TURNS):
        for path in paths:
            _forget(path)
        began = time.perf_counter()
        _read_all(paths)
        rates.append(amount / max(time.perf_counter() - began, 1e-9))
    return max(rates)


def _forget(path: str) -> None:
    """Have the operating system drop a file from its memory; what is not on disk yet stays."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _read_all(paths: Iterable[str]) -> None:
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- unbuffered, as a path cannot
            while file.read(_PIECE_BYTES):
                pass


def probe_cuda(device: str, size: int = _GPU_SIZE) -> Document:
    """Return the ceilings of a GPU, by PyTorch.

    Args:
        device: `cuda` or `cuda:N`; `cpu` in tests, where there is nothing to wait for.
        size: Of the matrices; a multiple of 16.

    Returns:
        Products in GFLOP/s by precision, memory in GB/s, read and written bytes together.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    where = torch.device(device)

    def wait() -> None:
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    def rate(work: Work, amount: float) -> float:
        def whole() -> None:
            work()
            wait()  # a call only hands the work over

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
    return {"threads": 0, "gflop_per_s": products, "memory_gb_per_s": moved}


def main() -> None:
    """Answer one request, a line of JSON on standard input, by one on standard output."""
    request = json.loads(sys.stdin.readline())
    kind = request.pop("probe")
    if kind == "disk":
        answer = probe_disk(Path(request["folder"]), request["paths"])
    else:
        probes: dict[str, Callable[..., Document | None]] = {
            "cpu": probe_cpu,
            "cuda": probe_cuda,
            "preprocessing": probe_preprocessing,
        }
        answer = probes[kind](**request)
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
