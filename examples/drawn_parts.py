"""Draw a folder of brushed-metal parts, good and defective: something to train on at once.

    python examples/drawn_parts.py parts
    python train.py dataset=image_folder dataset.root=parts "dataset.accept_classes=[good]"

The images are drawn from random numbers, so they may be used and passed on freely. They show how
Sihwa works; figures from them say nothing about real parts.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 200
PER_CLASS = 60
CLASSES = ("good", "pit", "scratch", "stain")


def brushed_metal(rng: np.random.Generator) -> Image.Image:
    """Return a grey surface (SIDE, SIDE) with horizontal grain and uneven light."""
    grain = rng.normal(0, 1, (SIDE, SIDE))
    grain = np.cumsum(grain, axis=1) - np.cumsum(grain, axis=1).mean(1, keepdims=True)
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    light = rng.uniform(-18, 18) * x + rng.uniform(-18, 18) * y
    grey = rng.uniform(120, 160) + light + 1.2 * grain + rng.normal(0, 4, (SIDE, SIDE))
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def draw_scratch(surface: Image.Image, rng: np.random.Generator) -> None:
    """Draw one thin bright line with a dark edge."""
    start = rng.uniform(30, SIDE - 30, 2)
    angle = rng.uniform(0, 2 * np.pi)
    end = start + rng.uniform(45, 110) * np.array([np.cos(angle), np.sin(angle)])
    pen = ImageDraw.Draw(surface)
    pen.line([*(start + 1), *(end + 1)], fill=int(rng.integers(60, 90)), width=1)
    pen.line([*start, *end], fill=int(rng.integers(190, 225)), width=1)


def draw_pit(surface: Image.Image, rng: np.random.Generator) -> None:
    """Draw a few small dark holes."""
    pen = ImageDraw.Draw(surface)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.uniform(20, SIDE - 20, 2)
        radius = rng.uniform(2, 5)
        pen.ellipse(
            [x - radius, y - radius, x + radius, y + radius], fill=int(rng.integers(40, 80))
        )


def draw_stain(surface: Image.Image, rng: np.random.Generator) -> None:
    """Darken one soft, irregular spot."""
    mask = Image.new("L", surface.size)
    pen = ImageDraw.Draw(mask)
    x, y = rng.uniform(50, SIDE - 50, 2)
    for _ in range(6):
        left, top = x + rng.normal(0, 12), y + rng.normal(0, 12)
        radius = rng.uniform(8, 20)
        pen.ellipse([left - radius, top - radius, left + radius, top + radius], fill=90)
    darker = surface.point(lambda value: int(value * 0.6))
    surface.paste(darker, mask=mask.filter(ImageFilter.GaussianBlur(5)))


DRAW = {"scratch": draw_scratch, "pit": draw_pit, "stain": draw_stain}


def main() -> None:
    """Write PER_CLASS images of each class below the folder named on the command line."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: drawn_parts.py FOLDER")
    root = Path(sys.argv[1])
    if root.exists():
        sys.exit(f"{root} exists already; name a folder that does not")
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            surface = brushed_metal(rng)
            if name in DRAW:
                DRAW[name](surface, rng)
            surface.save(root / name / f"{number:03d}.png")
    print(f"{PER_CLASS} images of each of {', '.join(CLASSES)} in {root}")


if __name__ == "__main__":
    main()
