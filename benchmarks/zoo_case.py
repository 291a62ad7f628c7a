"""What a case of the zoo is, and how its images are drawn."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

CLASSES = ("good", "ng")
Draw = Callable[[Path], list[str] | None]
"""Draws into an empty folder; returns settings beside those of the kind."""


class Case(NamedTuple):
    """One untidy data set, and what is right for it."""

    name: str
    draw: Draw
    kind: str
    """`folder`: the images are in parts/; `table`: they are listed in parts/labels.csv."""
    images: int | None = None
    """How many are read; None if the data set is refused."""
    classes: tuple[str, ...] = CLASSES
    says: str = ""
    """Regular expression that a note, or the error, matches."""
    silent: bool = False
    """Whether there must be no note at all."""


FOUND: list[Case] = []
"""All cases, in the order in which they are defined."""


def reads(
    name: str, images: int = 12, classes: tuple[str, ...] = CLASSES, says: str = "", **more: bool
) -> Callable[[Draw], Draw]:
    """Register a folder that is read."""
    return lambda draw: _register(Case(name, draw, "folder", images, classes, says, **more))


def refused(name: str, says: str) -> Callable[[Draw], Draw]:
    """Register a folder that is refused."""
    return lambda draw: _register(Case(name, draw, "folder", says=says))


def _register(case: Case) -> Draw:
    FOUND.append(case)
    return case.draw


def settings_of(case: Case, place: Path) -> list[str]:
    """Draw a case into an empty folder; return the settings that read it."""
    more = case.draw(place) or []
    given = {setting.partition("=")[0] for setting in more}
    usual = {
        "folder": ["dataset=image_folder", f"dataset.root={place / 'parts'}"],
        "table": ["dataset=manifest", f"dataset.path={place / 'parts/labels.csv'}"],
    }[case.kind]
    accept = [] if case.images is None else [f"dataset.accept_classes=[{case.classes[0]}]"]
    return [one for one in [*usual, *accept] if one.partition("=")[0] not in given] + more


def parts(place: Path, good: int = 6, ng: int = 6) -> Path:
    """Draw parts/good and parts/ng; return parts."""
    for name, count in (("good", good), ("ng", ng)):
        fill(place / "parts" / name, count)
    return place / "parts"


def fill(folder: Path, count: int = 6, ending: str = ".png", mode: str = "RGB") -> list[Path]:
    """Draw images 000 and so on into a folder; return their paths."""
    return [save(folder / f"{n:03d}{ending}", mode=mode) for n in range(count)]


def save(path: Path, mode: str = "RGB", size: tuple[int, int] = (24, 24)) -> Path:
    """Draw an image of its own, which its path decides; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(path, size).convert(mode).save(path)
    return path


def noise(path: Path, size: tuple[int, int] = (24, 24)) -> Image.Image:
    """Return smooth noise, which the path decides."""
    rng = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode("utf-8", "replace")))
    coarse = rng.integers(30, 226, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def levels(path: Path, highest: float) -> np.ndarray:
    """Return grey values from 0 to the highest, (24, 24), float64."""
    grey = np.asarray(noise(path).convert("L"), np.float64)
    return (grey - grey.min()) / (grey.max() - grey.min()) * highest
