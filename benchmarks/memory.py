"""Peak memory of a training with export, and of scoring, by the size of the images.

    python benchmarks/memory.py
    python benchmarks/memory.py --megapixels 12 --images 80 --settings training=stages_brief

Draws two classes of grey noise, one with a scratch, as JPEG. The peak is that of the whole process
tree: resident memory of all its processes together, looked at every 20 ms. Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_ROOT = Path(__file__).parents[1]
_INTERVAL_S = 0.02


def main() -> None:
    """Read the flags and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 5, 12, 20])
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--settings", nargs="*", default=[], help="of the training")
    flags = parser.parse_args()
    print("| megapixels | train and export, GB | seconds | score, GB | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for megapixels in flags.megapixels:
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(folder), megapixels, flags.images, flags.settings), flush=True)


def measure(folder: Path, megapixels: float, images: int, settings: Sequence[str]) -> str:
    """Train on drawn images, score them, and return a line of the table."""
    draw(folder / "parts", megapixels, images)
    train = [
        sys.executable, str(_ROOT / "train.py"), "dataset=image_folder",
        f"dataset.root={folder / 'parts'}", "dataset.accept_classes=[good]",
        f"cache_dir={folder / 'cache'}", f"output_dir={folder / 'out'}", *settings,
    ]  # fmt: skip
    inspector = folder / "out" / "latest" / "inspector"
    score = [
        sys.executable, "-m", "sihwa", "score", str(inspector), str(folder / "parts"),
        "--out", str(folder / "scores.csv"),
    ]  # fmt: skip
    cells = [f"{peak:.2f} | {seconds:.0f}" for peak, seconds in map(peak_of, (train, score))]
    return f"| {megapixels:g} | {' | '.join(cells)} |"


def draw(folder: Path, megapixels: float, images: int) -> None:
    """Save half of the images in each class; width and height are as 4 to 3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    rng = np.random.default_rng(0)
    for kind in ("good", "scratch"):
        (folder / kind).mkdir(parents=True)
        for number in range(images // 2):
            coarse = rng.integers(90, 150, (height // 8, width // 8), dtype=np.uint8)
            image = np.array(Image.fromarray(coarse).resize((width, height)))
            if kind == "scratch":
                left = int(rng.integers(width // 2))
                image[:, left : left + width // 40] = 15
            Image.fromarray(image).convert("RGB").save(folder / kind / f"{number:04d}.jpg")


def peak_of(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return the peak of its process tree in GB, and its seconds."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(_INTERVAL_S)
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {' '.join(command)}")
    return peak / 1e9, time.perf_counter() - began


def resident_bytes(process: int) -> int:
    """Return the resident memory of a process and all below it; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{process}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    return 4096 * pages + sum(map(resident_bytes, children))


if __name__ == "__main__":
    main()
