"""How fast do others score the same folder of images on this machine?

    make bench-peers ARGS="INSPECTOR NEU-DET.zip --rounds 5"

Whole processes, from their start to their end, take turns within each round, so that other load
slows all of them alike; ratios are taken within a round. Round 0 is not counted: it reads files
from the disk. The peers live in an environment of their own (benchmarks/peers.txt).

- sihwa score, with each runtime that is proven here, and as it chooses by itself;
- Ultralytics `yolo classify predict`, PyTorch, ONNX Runtime and OpenVINO, with a network smaller
  than EfficientNet-Lite0 (yolo11n-cls) and a larger one (yolo11s-cls), saving nothing. Networks are
  built without weights: how fast they are does not depend on them;
- a plain torchvision loop, efficientnet_b0, DataLoader, batches of 32;
- timm's functions for inference, tf_efficientnet_lite0.

Then, one image at a time, the median of OpenVINO's benchmark_app against our OpenVINO runtime on
one graph, as it is (any image size) and compiled for one size only.
Figures go to a JSON file, and the tables of docs/results.md to the terminal, as Markdown.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sihwa.benchmark.environment import describe_environment
from sihwa.benchmark.variant import Variant, list_variants
from sihwa.benchmark.worker_process import Worker
from sihwa.errors import RuntimeUnavailable, SihwaError, StorageError
from sihwa.images import decode_image, read_bytes
from sihwa.inspector import RuntimeChoice, read_bundle
from sihwa.inspector.image_list import list_images
from sihwa.inspector.image_list import spread as spread_evenly
from sihwa.inspector.verify import read_verification
from sihwa.storage import usable_folder, write_json
from sihwa.terminal.console import a_path
from sihwa.terminal.guard import begin_work, guarding
from sihwa.terminal.progress import progress_bar

LOOP = Path(__file__).with_name("peers_loop.py")
BIN = "Scripts" if sys.platform == "win32" else "bin"
OURS = "sihwa score"
QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
"""In their favour: without the network here, looking for updates would take seconds."""
TABLE = "scores.csv"
"""In a folder of each run's own."""

Seconds = dict[str, list[float]]
Ratio = tuple[float, float, float]


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inspector", type=a_path, help="its folder")
    parser.add_argument("images", type=a_path, help="a folder or an archive")
    parser.add_argument("--rounds", type=at_least_one, default=5, help="counted runs of each")
    parser.add_argument("--limit", type=at_least_one, default=1800, help="most images")
    parser.add_argument("--yolo", default="yolo11n-cls,yolo11s-cls", help="Ultralytics' networks")
    parser.add_argument("--calls", type=at_least_one, default=300, help="one by one, each round")
    parser.add_argument(
        "--environment", type=Path, default=Path(".venv-peers"), help="where the peers live"
    )
    parser.add_argument(
        "--out", type=a_path, default=Path("outputs/benchmarks/peers.json"), help="of the figures"
    )
    given = parser.parse_args()
    python = given.environment / BIN / "python"
    if not os.path.isfile(python):  # noqa: PTH113 -- also false without permission
        raise RuntimeUnavailable(f"{python} is not there: run `make bench-peers` once")
    if given.out.is_dir():
        raise StorageError(f"--out {given.out} is a folder; name the file in it")
    read_bundle(given.inspector)
    with tempfile.TemporaryDirectory() as folder, usable_folder(given.out.parent):
        root = Path(folder)
        paths = copy_images(given.images, root / "images", given.limit)
        models = export_models(python, given.yolo.split(","), root)
        commands = {
            **our_commands(given.inspector, root),
            **yolo_commands(python, models, root / "images"),
            **loop_commands(python, root),
        }
        seconds = take_turns(commands, given.rounds, root, len(paths))
        latency = time_benchmark_app(given.inspector, paths, given.rounds, given.calls)
    peers = versions(python)
    results = {
        "environment": msgspec.to_builtins(describe_environment(("cpu",))),
        "peers": peers,
        "images": len(paths),
        "rounds": given.rounds,
        "seconds": seconds,
        "one_by_one_p50_ms": latency,
        "ratios": {name: ratio(taken, seconds[OURS]) for name, taken in seconds.items()},
        "our_p50_over_theirs": {
            name: ratio(latency["ours"], taken) for name, taken in latency.items()
        },
    }
    for title, header, rows in tables(results):
        print(f"{title}:\n")
        for cells in (header, ["---"] * len(header), *rows):
            print(f"| {' | '.join(cells)} |")
        print()
    print(f"Peers: {', '.join(f'{name} {version}' for name, version in peers.items())}.")
    write_json(given.out, results)
    print(given.out)


class PeerFailed(SihwaError):
    """A program that is timed failed."""


def at_least_one(word: str) -> int:
    """Return a count from the command line."""
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {word!r}")
    return int(word)


def copy_images(source: Path, folder: Path, limit: int) -> list[str]:
    """Write images, evenly from all there are, into one flat folder; return their paths."""
    folder.mkdir()
    paths = []
    listed = list_images(folder, source, "make bench-peers ARGS='INSPECTOR IMAGES'")
    for number, path in enumerate(spread_evenly(listed, limit)):
        target = folder / f"{number:06d}{Path(path).suffix}"
        target.write_bytes(read_bytes(path))
        paths.append(str(target))
    return paths


def export_models(python: Path, names: Sequence[str], root: Path) -> list[Path]:
    """Have Ultralytics build its networks without weights, in each of its formats."""
    command = [str(python.absolute()), str(LOOP.absolute()), "export", str(root), *names]
    done = subprocess.run(command, env=quiet(root), capture_output=True, text=True)
    if done.returncode:
        raise PeerFailed(f"Ultralytics cannot export: {last_line(done.stderr)}")
    return [Path(line[6:]) for line in done.stdout.splitlines() if line.startswith("model ")]


def quiet(root: Path) -> dict[str, str]:
    """Return the environment variables of the peers; their settings go to a folder of ours."""
    return {**os.environ, **QUIET, "YOLO_CONFIG_DIR": str(root)}


def our_commands(inspector: Path, root: Path) -> dict[str, list[str]]:
    """Return ours: as it chooses by itself, then each runtime and precision proven here."""
    bundle = read_bundle(inspector)
    variants, _ = list_variants(bundle, read_verification(inspector, bundle), ["cpu"], [0])
    base = [sys.executable, "-m", "sihwa", "score", str(inspector.absolute())]
    base += [str(root / "images"), "--out", TABLE]
    named = {
        f"{OURS} --runtime {one.choice.runtime} --precision {one.choice.precision}": one.choice
        for one in variants
        if one.choice.runtime != "torch"
    }
    return {
        OURS: base,
        **{
            name: [*base, "--runtime", choice.runtime, "--precision", choice.precision]
            for name, choice in named.items()
        },
    }


def yolo_commands(python: Path, models: Sequence[Path], images: Path) -> dict[str, list[str]]:
    """Return Ultralytics' command, one by one as it comes and in batches of 32."""
    commands = {}
    for model in models:
        for batch in (1, 32):
            words = [f"model={model}", f"source={images}", "imgsz=224", f"batch={batch}"]
            command = [str(python.with_name("yolo").absolute()), "classify", "predict", *words]
            command += ["save=False", "verbose=False", "device=cpu"]
            commands[f"yolo {model.name}, batch {batch}"] = command
    return commands


def loop_commands(python: Path, root: Path) -> dict[str, list[str]]:
    """Return the loops in PyTorch."""
    base = [str(python.absolute()), str(LOOP.absolute())]
    return {
        f"{kind} loop, {network}": [
            *base, kind, str(root / "images"), network, TABLE
        ]
        for kind, network in (
            ("torchvision", "efficientnet_b0"),
            ("timm", "tf_efficientnet_lite0"),
        )
    }  # fmt: skip


def last_line(said: str) -> str:
    """Return the last line of what a program printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][-500:] if lines else "no message"


def take_turns(commands: dict[str, list[str]], rounds: int, root: Path, count: int) -> Seconds:
    """Return seconds of each command and round; whatever writes a table must have every row."""
    seconds: Seconds = {name: [] for name in commands}
    names = list(commands)
    with progress_bar("scoring", (rounds + 1) * len(names), "runs") as advance:
        for turn in range(rounds + 1):
            # each round begins with another one
            for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                seconds_taken = run(name, commands[name], root, count)
                if turn:
                    seconds[name].append(seconds_taken)
                advance(1, name)
    return seconds


def run(name: str, command: list[str], root: Path, count: int) -> float:
    """Run a command once, and return its seconds."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        began = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=quiet(root), capture_output=True, text=True)
        taken = time.perf_counter() - began
        if done.returncode:
            raise PeerFailed(f"{name} failed: {last_line(done.stderr)}")
        if TABLE in command:
            rows = len(Path(folder, TABLE).read_text("utf-8").splitlines()) - 1
            if rows != count:
                raise PeerFailed(f"{name} wrote {rows} rows for {count} images")
    return taken


def time_benchmark_app(
    inspector: Path, paths: Sequence[str], rounds: int, calls: int
) -> dict[str, list[float]]:
    """Return the median ms of one image, each round: ours, and benchmark_app's on our graph."""
    graph = inspector / "inspector.onnx" if inspector.is_dir() else inspector
    height, width, _ = decode_image(read_bytes(paths[0]), paths[0]).shape
    shape = f"image[1,{height},{width},3]"
    command = [str(Path(sys.executable).with_name("benchmark_app")), "-m", str(graph), "-d", "CPU"]
    command += ["-api", "sync", "-hint", "latency", "-infer_precision", "f32"]
    command += ["-niter", str(calls)]
    theirs = {"benchmark_app": ["-data_shape", shape], "benchmark_app, one size": ["-shape", shape]}
    found: dict[str, list[float]] = {"ours": [], **{name: [] for name in theirs}}
    ours = Worker(Variant(RuntimeChoice("openvino", "cpu", "fp32"), 0), inspector, paths[:200])
    try:
        ours.start()
        with progress_bar("one by one", rounds * len(found), "turns") as advance:
            ours.ask("model", count=20)
            for _ in range(rounds):
                found["ours"].append(statistics.median(ours.ask("model", count=calls)) / 1e6)
                advance(1)
                for name, words in theirs.items():
                    found[name].append(median_of_benchmark_app([*command, *words]))
                    advance(1)
    finally:
        ours.close()
    return found


def median_of_benchmark_app(command: list[str]) -> float:
    """Run OpenVINO's program; return the median that it prints, in ms."""
    done = subprocess.run(command, capture_output=True, text=True)
    said = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    if said is None:
        raise PeerFailed(f"benchmark_app failed: {last_line(done.stdout + done.stderr)}")
    return float(said[1])


def versions(python: Path) -> dict[str, str]:
    """Return the versions of the peers."""
    names = "ultralytics", "torch", "torchvision", "timm", "onnxruntime", "openvino"
    program = f"from importlib.metadata import version as v; print(*map(v, {names!r}))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(names, done.stdout.split(), strict=True))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Ratio:
    """Return median, least and most of the ratios within a round."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def tables(results: dict) -> list[tuple[str, list[str], list[list[str]]]]:  # type: ignore[type-arg]
    """Return title, header and rows of each table."""
    count = results["images"]
    folder = [
        [name, f"{statistics.median(taken):.1f}", f"{count / statistics.median(taken):.0f}",
         spread(results["ratios"][name])]
        for name, taken in results["seconds"].items()
    ]  # fmt: skip
    single = [
        [name, f"{statistics.median(taken):.2f}", spread(results["our_p50_over_theirs"][name])]
        for name, taken in results["one_by_one_p50_ms"].items()
    ]
    return [
        (
            f"{count} images, whole process, {results['rounds']} rounds",
            ["program", "seconds, median", "images/s", "times ours (range)"],
            folder,
        ),
        (
            "One image at a time, OpenVINO, float32",
            ["program", "p50, ms", "ours over it (range)"],
            single,
        ),
    ]


def spread(found: Ratio) -> str:
    """Return a ratio with its range."""
    return f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


if __name__ == "__main__":
    with guarding():
        begin_work()
        main()
