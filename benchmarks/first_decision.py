"""How long from starting a program to its first decision, and to its first score table?

    python benchmarks/first_decision.py INSPECTOR [--rounds 7] [--out first_decision.json]

Whole processes, one image, files already in the operating system's memory. An empty Python
program is timed beside them, because its time is in every figure. Processor time is given too: it
depends less on other load than the clock does.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sihwa.images import find_images, read_bytes
from sihwa.inspector import processor_of
from sihwa.storage import write_json

_PREDICT = """
from sihwa.inspector import load_inspector
print(load_inspector({inspector!r}, runtime={runtime!r}).predict({image!r})[0].decision)
"""


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inspector", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmarks/first_decision.json"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = find_images(given.inspector / "images.zip").images[0]
        image = Path(folder, f"image{Path(kept).suffix}")
        image.write_bytes(read_bytes(kept))
        seconds = _take_turns(_commands(given.inspector.resolve(), image), given.rounds)
    table = Table("program", "seconds, median", "range", "of processors", "range")
    for name, taken in seconds.items():
        wall, processor = ([pair[place] for pair in taken] for place in (0, 1))
        table.add_row(name, *_columns(wall), *_columns(processor))
    Console().print(table)
    write_json(given.out, {"processor": processor_of("cpu"), "seconds": seconds})
    print(given.out)


def _columns(taken: list[float]) -> tuple[str, str]:
    return f"{statistics.median(taken):.2f}", f"{min(taken):.2f} to {max(taken):.2f}"


def _commands(inspector: Path, image: Path) -> dict[str, list[str]]:
    def predict(runtime: str) -> list[str]:
        program = _PREDICT.format(inspector=str(inspector), runtime=runtime, image=str(image))
        return [sys.executable, "-c", program]

    score = [sys.executable, "-m", "sihwa", "score", inspector, image, "--out", "scores.csv"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "load_inspector, predict: auto": predict("auto"),
        "load_inspector, predict: onnxruntime": predict("onnxruntime"),
        "load_inspector, predict: openvino": predict("openvino"),
        "sihwa score: auto": list(map(str, score)),
        "sihwa score: onnxruntime": [*map(str, score), "--runtime", "onnxruntime"],
    }


def _take_turns(
    commands: dict[str, list[str]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return seconds by the clock and of all processors, per program and round."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as new:  # an existing table is not overwritten
                before, begin = _processor_s(), time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=new)
                wall = time.perf_counter() - begin
            if turn:  # the first reads the files from the disk
                seconds[name].append((wall, _processor_s() - before))
    return seconds


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
