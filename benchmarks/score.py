"""How near does scoring come to what decoding and inference alone would allow?

    make bench-score ARGS="INSPECTOR NEU-DET.zip"

One run measures, several times in turn, on two sets of images (NEU-DET as it is, and blown up to
1600 × 1200 as a camera would give them; each repeated by links):

- decode: reading and decoding alone, as many threads as there are cores;
- infer: inference alone on decoded images, the same threads, the same batches;
- limit: 1 / (1 / decode + 1 / infer), what two steps that share the same cores can reach;
- the same for CPU time: what decoding and inference take per image, over what scoring takes; this
  ratio says how much scoring adds, also where other programs share the cores;
- score: `score_sources`, from listing to Parquet on disk;
- loop: what one would write in PyTorch: a DataLoader over the files, eager float32.

Then the whole command on 1,800 images, start of Python included, and the peak memory of the
command over 2,000 and 200,000 tiny files.
"""

import io
import itertools
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from sihwa.images import available_cores, decode_image, read_bytes
from sihwa.inspector import Inspector, load_inspector
from sihwa.scoring import score_sources

CAMERA = (1600, 1200)
PACKAGES = ("numpy", "onnxruntime", "openvino", "pillow", "pyarrow", "simplejpeg", "torch")


def main(
    inspector: Annotated[Path, typer.Argument(help="Inspector folder.")],
    neu_det: Annotated[Path, typer.Argument(help="NEU-DET.zip.")],
    runtime: str = "auto",
    precision: str = "auto",
    images: Annotated[int, typer.Option(help="NEU images to score, by links.")] = 10_800,
    camera: Annotated[int, typer.Option(help="Camera images to score, by links.")] = 1_200,
    rounds: int = 3,
    sample: Annotated[int, typer.Option(help="Images to decode and infer alone.")] = 600,
    files: Annotated[int, typer.Option(help="Files for peak memory, and a hundredth.")] = 200_000,
    measure: Annotated[str, typer.Option(help="Which to measure: rate, command, memory.")] = (
        "rate,command,memory"
    ),
) -> None:
    """Measure and print; the last line is all of it as JSON."""
    loaded = load_inspector(inspector, runtime=runtime, precision=precision, threads=1)
    found: dict[str, object] = {"machine": describe(loaded)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        neu = unpack(neu_det, root / "neu")
        if "rate" in measure:
            large = blow_up(neu[:: max(1, len(neu) // 120)], root / "large")
            for name, given, count in (("NEU", neu, images), ("camera", large, camera)):
                links = link(given, root / f"{name} links", count)
                found[name] = compare(
                    loaded, inspector, links, given[:: max(1, len(given) // sample)], rounds
                )
                print(json.dumps({name: found[name]}), flush=True)
        choice = loaded.runtime.choice
        command = [
            sys.executable, "-m", "sihwa", "score", str(inspector),
            "--runtime", choice.runtime, "--precision", choice.precision,
        ]  # fmt: skip
        if "command" in measure:
            found["command_seconds"] = time_command(command, root / "neu", root, rounds)
        if "memory" in measure:
            found["peak_memory_mib"] = [
                peak_memory(command, root / f"tiny {count}", count)
                for count in (files // 100, files)
            ]
    print(json.dumps(found, ensure_ascii=False))


def describe(inspector: Inspector) -> dict[str, object]:
    """Return what a figure means nothing without."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": available_cores(),
        "runtime": str(inspector.runtime.choice),
        "network": inspector.card.network.name,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack the images of NEU-DET and return their paths."""
    folder.mkdir()
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        for name in names:
            (folder / Path(name).name).write_bytes(file.read(name))
    return sorted(folder.iterdir())


def blow_up(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Write images anew at the size of a camera, as JPEGs of quality 90."""
    folder.mkdir()
    for path in paths:
        large = Image.open(io.BytesIO(path.read_bytes())).resize(CAMERA, Image.Resampling.BICUBIC)
        large.save(folder / path.name, quality=90)
    return sorted(folder.iterdir())


def link(paths: Sequence[Path], folder: Path, count: int) -> Path:
    """Fill a folder with `count` links to some images, in turn."""
    folder.mkdir()
    for number, path in zip(range(count), itertools.cycle(paths), strict=False):
        (folder / f"{number:07d}.jpg").hardlink_to(path)
    return folder


def compare(
    inspector: Inspector, folder: Path, links: Path, sample: Sequence[Path], rounds: int
) -> dict[str, object]:
    """Take all measurements in turn, so that other load slows all of them alike."""
    paths = list(map(str, sample))
    images = [decode_image(read_bytes(path), path) for path in paths]
    infer_all(inspector, images[:64], 32)  # the first inferences are slower
    size = max(1, min(32, 16 * 2**20 // images[0].nbytes))
    torch_loop = make_torch_loop(folder, paths[: 320 if size > 8 else 96])
    rates: dict[str, list[float]] = {}
    for turn in range(rounds):
        decode, decode_cpu = timed(partial(decode_all, paths))
        infer, infer_cpu = timed(partial(infer_all, inspector, images, size))
        out = links.with_name(f"{links.name} {turn}")
        score, score_cpu = timed(partial(score_all, inspector, links, out))
        measured = {
            "decode": decode,
            "infer": infer,
            "score": score,
            "decode_cpu_ms": decode_cpu,
            "infer_cpu_ms": infer_cpu,
            "score_cpu_ms": score_cpu,
            "cpu_ratio": (decode_cpu + infer_cpu) / score_cpu,
            "loop": timed(torch_loop)[0],
        }
        measured["limit"] = 1 / (1 / measured["decode"] + 1 / measured["infer"])
        measured["score_to_limit"] = measured["score"] / measured["limit"]
        measured["score_to_loop"] = measured["score"] / measured["loop"]
        print(json.dumps({name: round(value, 3) for name, value in measured.items()}), flush=True)
        for name, value in measured.items():
            rates.setdefault(name, []).append(value)
    return {
        "images": len(list(links.iterdir())),
        **{
            name: [round(f(values), 3) for f in (statistics.median, min, max)]
            for name, values in rates.items()
        },
    }


def timed(work: Callable[[], int]) -> tuple[float, float]:
    """Return images per second and milliseconds of CPU time per image, all threads together."""
    begin, cpu = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return count / seconds, 1000 * cpu / count


def decode_all(paths: Sequence[str]) -> int:
    """Read and decode on all cores; the pixels are dropped."""

    def work(path: str) -> int:
        return len(decode_image(read_bytes(path), path))

    with ThreadPoolExecutor(available_cores()) as pool:
        return sum(1 for _ in pool.map(work, paths))


def infer_all(inspector: Inspector, images: Sequence[NDArray[np.uint8]], size: int) -> int:
    """Run the graph on decoded images on all cores, in batches of `size`."""
    batches = [np.stack(images[start : start + size]) for start in range(0, len(images), size)]
    with ThreadPoolExecutor(available_cores()) as pool:
        return sum(len(outputs.unknown) for outputs in pool.map(inspector.runtime.run, batches))


def score_all(inspector: Inspector, links: Path, out: Path) -> int:
    """Score a folder, from listing to rows on disk."""
    summary = score_sources(inspector, links, out)
    assert not summary.errors
    return summary.images


def make_torch_loop(folder: Path, paths: Sequence[str]) -> Callable[[], int]:
    """Return what a user of PyTorch would write: the same network, a DataLoader, batches of 32."""
    import torch
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader

    from sihwa.model import ModelConfig, create_network

    card = json.loads((folder / "card.json").read_bytes())
    config = ModelConfig(
        name=card["network"]["name"],
        architecture=card["network"]["architecture"],
        weights="none",
        input_size=card["network"]["input_size"],
        stages=card["network"]["stages"],
    )
    network = create_network(config, len(card["classes"]))
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    files: Any = Files(paths)
    loader: Any = DataLoader(files, batch_size=32, num_workers=available_cores())

    def loop() -> int:
        with torch.inference_mode():
            return sum(len(network(batch)[0]) for batch in loader)

    return loop


class Files:
    """A map-style data set of PyTorch: decoded by Pillow, as its tutorials do."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        with Image.open(self.paths[index]) as image:
            return np.array(image.convert("RGB"))


def time_command(command: list[str], folder: Path, root: Path, rounds: int) -> list[float]:
    """Return median, least and most seconds of the whole command, start of Python included."""
    seconds = []
    for turn in range(rounds):
        begin = time.perf_counter()
        words = [*command, str(folder), "--out", str(root / f"command {turn}")]
        subprocess.run(words, check=True, capture_output=True)
        seconds.append(round(time.perf_counter() - begin, 2))
    return [statistics.median(seconds), min(seconds), max(seconds)]


def peak_memory(command: list[str], folder: Path, count: int) -> float:
    """Return the peak resident memory of the command over `count` links to one tiny image."""
    folder.mkdir()
    for number in range(count):
        tiny = folder.with_name(f"tiny {number // 20_000}.png")  # a file bears only so many links
        if not tiny.exists():
            Image.new("RGB", (8, 8), (90, 120, 60)).save(tiny)
        (folder / f"{number:07d}.png").hardlink_to(tiny)
    words = [*command, str(folder), "--out", f"{folder} scores"]
    meter = [sys.executable, str(Path(__file__).with_name("peak.py"))]
    done = subprocess.run([*meter, *words], check=True, capture_output=True, text=True)
    return round(int(done.stdout) / 1024, 1)


if __name__ == "__main__":
    typer.run(main)
