"""ELPV: 2,624 electroluminescence images of solar cells, functional to defective.

The label is the assessors' probability of a defect: 0, 1/3, 2/3 or 1. Above one half counts as
defective, as in Deitsch et al. 2019, arXiv 1807.02894.
"""

import importlib.util
from itertools import compress
from pathlib import Path

from sihwa.dataset.config import ElpvConfig
from sihwa.dataset.file_choice import without_excluded
from sihwa.dataset.item import Item, Source
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import read_bytes

_CLASSES = {
    "binary": ("functional", "defective"),
    "four": ("functional", "likely_functional", "likely_defective", "defective"),
}
_ACCEPTED = ("functional", "likely_functional")
_MAX_TABLE_BYTES = 1_000_000


def find_elpv(config: ElpvConfig) -> Source:
    """List the images of the installed package; the column cell_type is mono or poly.

    Raises:
        DatasetError: The package is not installed, or its label file is damaged.
    """
    package = importlib.util.find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise DatasetError(
            "dataset=elpv: its images are in a package that is not installed: "
            'pip install "sihwa[elpv]"'
        )
    classes = _CLASSES[config.classes]
    folder = Path(package.origin).parent / "data"
    items = read_elpv(folder, classes)
    names = [Path(item.path).relative_to(folder).as_posix() for item in items]
    kept, notes = without_excluded(config.exclude, names)
    accepted = tuple(name for name in classes if name in _ACCEPTED)
    return Source(list(compress(items, kept)), classes, accepted, notes)


def read_elpv(folder: Path, classes: tuple[str, ...] = _CLASSES["binary"]) -> list[Item]:
    """List the images that labels.csv in a folder, or in an archive, names.

    Raises:
        DatasetError: The file is missing or damaged.
    """
    table = folder / "labels.csv"
    try:
        lines = read_bytes(str(table), _MAX_TABLE_BYTES).decode().splitlines()
    except (UnreadableImage, UnicodeDecodeError) as error:
        raise DatasetError(f"{table}: {error}; get the set again") from error
    return [_read_line(line, folder, classes) for line in lines]


def _read_line(line: str, folder: Path, classes: tuple[str, ...]) -> Item:
    try:
        name, probability, cell_type = line.split()
        degree = round(float(probability) * 3)
        label = classes[degree if len(classes) == 4 else int(degree > 1)]
    except (ValueError, IndexError) as error:
        raise DatasetError(
            f"{folder / 'labels.csv'}: expected 'image probability type', got {line!r}"
        ) from error
    return Item(str(folder / name), label, attributes={"cell_type": cell_type})
