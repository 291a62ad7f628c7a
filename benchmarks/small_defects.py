"""Scratches 4 pixels wide on large steel surfaces: the whole image squeezed, against tiles.

    python benchmarks/small_defects.py
    python benchmarks/small_defects.py --images 84 --ways model.input_size=224 "model.tiles=[6,8]"

Draws as many scratched as good surfaces. Of 84 images of a class 50 are for training, the others
for calibration and test. Each way trains on the same images and splits, and then scores the test
images from their files. The figures say nothing about real steel, only which way sees such lines.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sihwa.inspector import load_inspector
from sihwa.run import Run
from sihwa.run.compose import compose_config
from sihwa.scoring import score_sources

WAYS = ("model.input_size=224", "model.input_size=1024", "model.tiles=[3,4]", "model.tiles=[6,8]")
_GRAIN = 8
"""Length of the grain along the rolling direction, in pixels."""
_QUALITY = 92


def main() -> None:
    """Read the flags and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=84, help="of each class")
    parser.add_argument("--size", type=int, nargs=2, default=[4000, 3000], help="width and height")
    parser.add_argument("--scratch", type=int, default=4, help="its width in pixels")
    parser.add_argument("--ways", nargs="+", default=WAYS, help="one setting each")
    parser.add_argument("--settings", nargs="*", default=[], help="of every training")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        begin = time.perf_counter()
        draw(place / "parts", flags.images, (flags.size[0], flags.size[1]), flags.scratch)
        print(f"{2 * flags.images} images drawn in {time.perf_counter() - begin:.0f} s\n")
        print("| setting | test images | accuracy | escapes | training, s | scoring, ms/image |")
        print("| --- | --- | --- | --- | --- | --- |")
        for number, way in enumerate(flags.ways):
            print(measure(place, f"{number}", way, flags.settings), flush=True)


def measure(place: Path, name: str, way: str, settings: Sequence[str]) -> str:
    """Train one way on drawn images, score the test images, and return a line of the table."""
    given = [
        "dataset=image_folder", f"dataset.root={place / 'parts'}", "dataset.accept_classes=[good]",
        f"output_dir={place / name}", f"cache_dir={place / 'cache'}", "dataset.audit=off",
        *settings, way,
    ]  # fmt: skip
    begin = time.perf_counter()
    result = Run.start(compose_config(given)).finish()
    seconds = time.perf_counter() - begin
    assert result.inspector is not None
    manifest = result.manifest
    tests = [f for f, split in zip(manifest.files, manifest.split, strict=True) if split == "test"]
    found = score_sources(load_inspector(result.inspector), tests, place / name / "scores")
    evaluation = result.evaluation
    assert evaluation.escapes is not None
    figures = (evaluation.accuracy, evaluation.escapes)
    cells = [f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" for one in figures]
    speed = 1000 * found.seconds / found.new_images
    return f"| `{way}` | {len(tests)} | {' | '.join(cells)} | {seconds:.0f} | {speed:.0f} |"


def draw(folder: Path, images: int, size: tuple[int, int], scratch: int) -> None:
    """Save surfaces of the classes good and scratch as JPEG; no two are alike."""
    rng = np.random.default_rng(0)
    for kind in ("good", "scratch"):
        (folder / kind).mkdir(parents=True)
        for number in range(images):
            surface = steel(rng, *size)
            if kind == "scratch":
                draw_scratch(surface, rng, scratch)
            surface.save(folder / kind / f"{number:04d}.jpg", quality=_QUALITY)


def steel(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return a grey surface with grain along the rows, uneven light and noise."""
    grain = rng.normal(0, 10, (height, -(-width // _GRAIN))).repeat(_GRAIN, axis=1)[:, :width]
    light = rng.uniform(-15, 15) * np.linspace(-1, 1, width, dtype=np.float32)
    light = light + rng.uniform(-15, 15) * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    noise = rng.standard_normal((height, width), dtype=np.float32) * 6
    grey = rng.uniform(110, 150) + light + grain + noise
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def draw_scratch(surface: Image.Image, rng: np.random.Generator, width: int) -> None:
    """Draw one line, darker than the surface, an eighth to a quarter of the image long."""
    sides = np.array(surface.size)
    start = rng.uniform(0.1, 0.9, 2) * sides
    angle = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(1 / 8, 1 / 4) * sides.min()
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    grey = int(np.asarray(surface).mean() - rng.uniform(45, 70))
    ImageDraw.Draw(surface).line([*start, *end], fill=grey, width=width)


if __name__ == "__main__":
    main()
