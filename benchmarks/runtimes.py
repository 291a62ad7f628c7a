"""How fast is each runtime through our interface, against calling it bare on the same graph?

    python benchmarks/runtimes.py INSPECTOR [--rounds 9] [--out runtimes.json]

All take turns within each round, so that other load slows all of them alike; ratios are taken
within a round. It prints their median and their range.

    ours / bare    images per second of `Inspector.predict` over those of the bare runtime
    over eager     the same over PyTorch's eager float32 network in batches of 32
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from sihwa.images import decode_image, find_images, read_bytes
from sihwa.inspector import (
    Bundle,
    Inspector,
    RuntimeChoice,
    create_runtime,
    installed_choices,
    processor_of,
    read_bundle,
)
from sihwa.inspector.image_list import as_on_the_line
from sihwa.inspector.runtime.registry import runtime_version
from sihwa.storage import write_json
from sihwa.terminal.progress import progress_bar

Call = Callable[[], object]
Images = NDArray[np.uint8]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inspector", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="least length of a turn")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/runtimes.json"))
    given = parser.parse_args()
    bundle = read_bundle(given.inspector)
    image = _image(given.inspector)
    rates = _take_turns(_calls(bundle, image), given.rounds, given.seconds)
    results = _results(rates)
    _show(results, image)
    facts = {
        "inspector": bundle.card.id,
        "image": list(image.shape),
        "processor": processor_of("cpu"),
        "versions": {n: runtime_version(n) for n in ("onnxruntime", "openvino", "torch")},
        "rounds": given.rounds,
        "results": results,
    }
    write_json(given.out, facts)
    print(given.out)


def _image(inspector: Path) -> Images:
    kept = as_on_the_line(find_images(inspector / "images.zip").images, None)[0]
    return decode_image(read_bytes(kept), kept)


def _calls(bundle: Bundle, image: Images) -> dict[tuple[str, int, str], Call]:
    """Return what is timed, by combination, batch and `ours` or `bare`."""
    calls: dict[tuple[str, int, str], Call] = {}
    batches = {count: np.repeat(image[None], count, axis=0) for count in (1, 32)}
    calls["eager", 32, "bare"] = _bare_torch(bundle, batches[32])
    for choice in installed_choices(bundle):
        inspector = Inspector(bundle.card, create_runtime(bundle, choice), "")
        bare = _BARE[choice.runtime](bundle, choice)
        for count, batch in batches.items():
            images = list(batch)
            name = f"{choice.runtime} {choice.precision}"
            calls[name, count, "ours"] = lambda i=inspector, p=images: i.predict(p)
            calls[name, count, "bare"] = lambda b=bare, x=batch: b(x)
    return calls


def _bare_onnxruntime(bundle: Bundle, choice: RuntimeChoice) -> Callable[[Images], Any]:
    import onnxruntime

    graph = bundle.int8_model if choice.precision == "int8" else bundle.graph
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"image": batch})


def _bare_openvino(bundle: Bundle, choice: RuntimeChoice) -> Callable[[Images], Any]:
    import openvino

    graph = bundle.int8_model if choice.precision == "int8" else bundle.graph
    core = openvino.Core()
    precision = "bf16" if choice.precision == "bf16" else "f32"
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    return lambda batch: request.infer({"image": batch}, share_inputs=True, share_outputs=True)


def _bare_torch_runtime(bundle: Bundle, choice: RuntimeChoice) -> Callable[[Images], Any]:
    import torch

    from sihwa.inspector.runtime.torch_runtime import TorchRuntime

    network: Any = TorchRuntime(bundle, choice)._forward

    def run(batch: Images) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(batch))

    return run


def _bare_torch(bundle: Bundle, batch: Images) -> Call:
    """Return PyTorch as it comes: eager, float32, channels first."""
    import torch

    from sihwa.inspector.runtime.torch_runtime import rebuild_network

    network = rebuild_network(bundle)

    def run() -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(batch))

    return run


_BARE = {"onnxruntime": _bare_onnxruntime, "openvino": _bare_openvino, "torch": _bare_torch_runtime}


def _take_turns(
    calls: dict[tuple[str, int, str], Call], rounds: int, seconds: float
) -> dict[tuple[str, int, str], list[float]]:
    """Return images per second of each round; the first, which warms up, is left out."""
    rates: dict[tuple[str, int, str], list[float]] = {key: [] for key in calls}
    with progress_bar("timing", (rounds + 1) * len(calls), "turns") as advance:
        for turn in range(rounds + 1):
            # there and back, and a call unmeasured before each: none profits from the one before
            for key in list(calls)[:: -1 if turn % 2 else 1]:
                calls[key]()
                rate = _rate(calls[key], key[1], seconds)
                if turn:
                    rates[key].append(rate)
                advance(1)
    return rates


def _rate(call: Call, count: int, seconds: float) -> float:
    begin, done, passed = time.perf_counter(), 0, 0.0
    while passed < seconds:
        call()
        done += count
        passed = time.perf_counter() - begin
    return done / passed


def _results(rates: dict[tuple[str, int, str], list[float]]) -> list[dict[str, Any]]:
    eager = np.array(rates["eager", 32, "bare"])
    rows = [{"runtime": "torch eager fp32", "batch": 32, "bare": float(np.median(eager))}]
    for name, count, kind in rates:
        if kind != "ours":
            continue
        ours = np.array(rates[name, count, "ours"])
        bare = np.array(rates[name, count, "bare"])
        rows.append(
            {
                "runtime": name,
                "batch": count,
                "ours": float(np.median(ours)),
                "bare": float(np.median(bare)),
                "ours_over_bare": _spread(ours / bare),
                "over_eager": _spread(ours / eager),
            }
        )
    return rows


def _spread(ratio: NDArray[np.floating]) -> dict[str, float]:
    return {
        "median": float(np.median(ratio)),
        "low": float(ratio.min()),
        "high": float(ratio.max()),
    }


def _show(results: list[dict[str, Any]], image: Images) -> None:
    table = Table("runtime", "batch", "ours, images/s", "bare", "ours / bare", "over eager")
    for row in results:
        ratios = [
            f"{r['median']:.2f} ({r['low']:.2f} to {r['high']:.2f})" if (r := row.get(key)) else ""
            for key in ("ours_over_bare", "over_eager")
        ]
        ours = f"{row['ours']:.0f}" if "ours" in row else ""
        table.add_row(row["runtime"], str(row["batch"]), ours, f"{row['bare']:.0f}", *ratios)
    console = Console()
    console.print(table)
    console.print(f"images of {image.shape[1]} × {image.shape[0]}, {processor_of('cpu')}")


if __name__ == "__main__":
    main()
