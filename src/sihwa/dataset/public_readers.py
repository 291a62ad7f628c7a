"""How the images of public sets get their labels, groups and boxes: by name, mask, XML or table.

An image has one class here. Where a set gives an image several, the rule is: its authors' own
single label if there is one (the folder of GC10-DET); else the kind with the largest marked area
(Severstal); else, where most images show several kinds, good or defective (DeepPCB).
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sihwa.dataset.elpv import read_elpv
from sihwa.dataset.item import Box, Item, neighbour
from sihwa.dataset.neu_det import read_boxes, read_neu_det
from sihwa.dataset.public_set import PublicSet, Reader, Sorted, make_item
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import decode_image, map_with_progress, read_bytes

_MOST_ANNOTATION_BYTES = 1_000_000
_MOST_TABLE_BYTES = 200_000_000
_TILE_GAP = 150
"""Largest difference between the numbers of two images of one tile. In 115 published names, the
images of one tile are at most 92 apart. Two tiles taken for one cost a little; a tile on both sides
of a split makes every figure too good."""

Read = tuple[list[Item], list[str]]


def read_names(public: PublicSet, found: Sorted) -> Read:
    """Take label, group and split from the path."""
    return [make_item(public, sample) for sample in found.samples], []


def read_neu(_: PublicSet, found: Sorted) -> Read:
    """Take the label from the name, and boxes from Pascal VOC files."""
    return read_neu_det([(sample.path, sample.name.split("/")) for sample in found.samples])


def read_cells(_: PublicSet, found: Sorted) -> Read:
    """Take paths and labels from labels.csv."""
    return read_elpv(Path(neighbour(found.samples[0].path, 2))), []


def read_tiles(public: PublicSet, found: Sorted) -> Read:
    """Take the label from the folder; images with close numbers show one tile."""
    order = sorted(found.samples, key=lambda sample: int(sample.parts["number"] or 0))
    items: list[Item] = []
    last, tile = -_TILE_GAP - 1, 0
    for sample in order:
        number = int(sample.parts["number"] or 0)
        tile += number - last > _TILE_GAP
        last = number
        items.append(make_item(public, sample, group=f"tile {tile}"))
    return sorted(items, key=lambda item: item.path), []


def by_mask(suffix: str) -> Reader:
    """Return a reader: an image is defective if the mask beside it has a pixel that is not 0."""

    def read(public: PublicSet, found: Sorted) -> Read:
        masks = [_stem(sample.path) + suffix for sample in found.samples]
        marked = map_with_progress("reading masks", _is_marked, masks)
        return [
            make_item(public, sample, "defective" if defective else "good")
            for sample, defective in zip(found.samples, marked, strict=True)
        ], []

    return read


def read_textures(public: PublicSet, found: Sorted) -> Read:
    """Call an image defective if the folder Label beside it holds its mask."""
    masks = {path.lower() for path in found.beside}
    items, unmarked = [], Counter[str]()
    for sample in found.samples:
        name = PurePosixPath(sample.name)
        mask = neighbour(sample.path, 1, "Label", f"{name.stem}_label{name.suffix}").lower()
        label = "defective" if mask in masks else "good"
        unmarked[neighbour(sample.path, 1)] += 0 if mask in masks else 1
        texture = PurePosixPath(neighbour(sample.path, 2)).name
        items.append(make_item(public, sample, label, texture=texture))
    total = Counter(neighbour(sample.path, 1) for sample in found.samples)
    for folder, count in unmarked.items():
        if count == total[folder]:
            raise DatasetError(
                f"{folder}: expected masks of its defective images in the folder Label, found "
                "none, so every image would count as good; unpack the whole set"
            )
    return items, []


def read_product(public: PublicSet, found: Sorted) -> Read:
    """Take the label from the folder below train or test, for one product."""
    products = sorted({neighbour(sample.path, 3) for sample in found.samples})
    if len(products) > 1:
        names = ", ".join(PurePosixPath(path).name for path in products)
        raise DatasetError(
            f"dataset.root: expected one product of {public.title}, such as {products[0]}; "
            f"found {len(products)}: {names}"
        )
    return read_names(public, found)[0], [
        "the set's own train split has only good images, so all are divided anew"
    ]


def read_fabrics(public: PublicSet, found: Sorted) -> Read:
    """Take the code of the defect and the fabric from the name."""
    kinds = AITEX_DEFECTS
    return [
        make_item(public, sample, kind=kinds.get(sample.parts["label"] or "", ""))
        for sample in found.samples
    ], []


def read_strips(public: PublicSet, found: Sorted) -> Read:
    """Take the label from the numbered folder, and boxes from `lable/NAME.xml`."""
    best: dict[str, tuple[int, Item]] = {}
    bare = several = 0
    for sample in found.samples:
        item = make_item(public, sample)
        name = PurePosixPath(sample.name)
        boxes = _read_voc(neighbour(sample.path, 2, "lable", f"{name.stem}.xml"))
        if boxes is not None:
            item = replace(item, boxes=boxes)
        area = _areas(item.boxes or ())
        rank = area[item.label]
        if name.name not in best:
            bare += boxes is None
            several += len(area) > 1
        if name.name not in best or rank > best[name.name][0]:
            best[name.name] = rank, item
    twice = len(found.samples) - len(best)
    notes = [f"{bare} images have no annotation; their folder gives the label"] * (bare > 0)
    notes += [f"{several} images show several kinds; the folder gives the label"] * (several > 0)
    notes += [
        f"{twice} images are in a second folder under the same name; each is used once, with the "
        "kind that has the larger marked area"
    ] * (twice > 0)
    return sorted((item for _, item in best.values()), key=lambda item: item.path), notes


def read_sheets(public: PublicSet, found: Sorted) -> Read:
    """Take the largest marked area from train.csv; an image without a row is good."""
    table = neighbour(found.samples[0].path, 2, "train.csv")
    area = _read_runs(table)
    items, several = [], 0
    for sample in found.samples:
        marked = area.pop(PurePosixPath(sample.name).name.lower(), Counter())
        several += len(marked) > 1
        largest = max(marked, key=lambda kind: (marked[kind], kind), default="")
        kinds = " ".join(sorted(marked))
        items.append(make_item(public, sample, largest or "good", kinds=kinds))
    notes = [
        f"{several} images show several kinds; the label is the one with the largest marked area"
    ] * (several > 0)
    missing = f"{len(area)} images of {table} are not there, such as {next(iter(area), '')!a}"
    return items, notes + [missing] * bool(area)


def read_boards(public: PublicSet, found: Sorted) -> Read:
    """Call templates good and tested boards defective; boxes are in `NUMBER_not/NAME.txt`."""
    items, several, bare = [], 0, 0
    for sample in found.samples:
        item = make_item(public, sample)
        boxes: tuple[Box, ...] | None = ()
        if item.label == "defective":
            number, group = sample.parts["number"], sample.parts["group"]
            boxes = _read_board(neighbour(sample.path, 2, f"{group}_not", f"{number}.txt"))
            kinds = sorted({box.label for box in boxes or ()})
            several, bare = several + (len(kinds) > 1), bare + (boxes is None)
            item = replace(item, attributes={"kinds": " ".join(kinds)})
        items.append(replace(item, boxes=boxes))
    notes = [
        f"{several} boards show several kinds of defect, so the classes are good and defective; "
        "the column kinds lists them",
        "trainval.txt and test.txt cut the groups, so they are not used",
    ]
    return items, notes + [f"{bare} boards have no annotation"] * (bare > 0)


AITEX_DEFECTS = {
    "002": "broken end", "006": "broken yarn", "010": "broken pick", "016": "weft curling",
    "019": "fuzzy ball", "022": "cut selvage", "023": "crease", "025": "warp ball",
    "027": "knots", "029": "contamination", "030": "nep", "036": "weft crack",
}  # fmt: skip
GC10_KINDS = {
    "1": "punching_hole", "2": "welding_line", "3": "crescent_gap", "4": "water_spot",
    "5": "oil_spot", "6": "silk_spot", "7": "inclusion", "8": "rolled_pit", "9": "crease",
    "10": "waist_folding",
}  # fmt: skip
_BOARD_KINDS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _is_marked(mask: str) -> bool:
    try:
        return bool(decode_image(read_bytes(mask), mask).any())
    except UnreadableImage as error:
        raise DatasetError(f"{error}; expected the mask that labels the image beside it") from error


def _areas(boxes: tuple[Box, ...]) -> Counter[str]:
    area: Counter[str] = Counter()
    for box in boxes:
        area[box.label] += (box.xmax - box.xmin + 1) * (box.ymax - box.ymin + 1)
    return area


def _read_voc(path: str) -> tuple[Box, ...] | None:
    """Return the boxes of a Pascal VOC file of GC10-DET, named in English; None without a file."""
    try:
        content = read_bytes(path, _MOST_ANNOTATION_BYTES)
    except UnreadableImage:
        return None  # counted in the notes
    # a name is a number and a word, `10_yaozhe`; the number is the class
    return tuple(
        box._replace(label=GC10_KINDS.get(box.label.partition("_")[0], box.label))
        for box in read_boxes(content, path)
    )


def _read_board(path: str) -> tuple[Box, ...] | None:
    try:
        lines = read_bytes(path, _MOST_ANNOTATION_BYTES).decode().splitlines()
    except UnreadableImage:
        return None  # counted in the notes
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected lines of text: {error}") from error
    return tuple(_read_board_line(line, path) for line in lines if line.strip())


def _read_board_line(line: str, path: str) -> Box:
    try:
        xmin, ymin, xmax, ymax, kind = map(int, line.replace(",", " ").split())
        if not (0 <= xmin <= xmax < 2**31 and 0 <= ymin <= ymax < 2**31 and kind > 0):
            raise ValueError
        return Box(_BOARD_KINDS[kind - 1], xmin, ymin, xmax, ymax)
    except (ValueError, IndexError) as error:
        raise DatasetError(
            f"{path}: expected 'x1 y1 x2 y2 kind' with a kind from 1 to 6, got {line[:80]!a}"
        ) from error


def _read_runs(table: str) -> defaultdict[str, Counter[str]]:
    """Return the marked area of each kind in each image, in pixels.

    A row has image, kind (1 to 4) and runs of pixels, start and length in turn. An older table has
    both names in one column, `0002cc93b.jpg_1`, and a row without runs for what is not there.
    """
    area: defaultdict[str, Counter[str]] = defaultdict(Counter)
    try:
        rows = csv.reader(io.StringIO(read_bytes(table, _MOST_TABLE_BYTES).decode("utf-8-sig")))
        header = next(rows, [])
        for place, row in enumerate(rows, start=2):
            for name, kind, runs in _read_run_row(row, header):
                numbers = [int(number) for number in runs.split()]
                if kind not in tuple("1234") or len(numbers) % 2 or min(numbers) < 1:
                    raise ValueError(f"row {place}")
                area[name.lower()][f"kind_{kind}"] += sum(numbers[1::2])
    except (UnreadableImage, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DatasetError(
            f"{table}: expected the columns ImageId, ClassId and EncodedPixels: {error}"
        ) from error
    return area


def _read_run_row(row: list[str], header: list[str]) -> Iterator[tuple[str, str, str]]:
    if not row:
        return
    cells = dict(zip(header, row, strict=True))
    if "ImageId_ClassId" in cells:
        name, _, kind = cells["ImageId_ClassId"].rpartition("_")
    else:
        name, kind = cells.get("ImageId", ""), cells.get("ClassId", "")
    if "EncodedPixels" not in cells:
        raise ValueError(f"got {', '.join(header)[:80]!a}")
    if cells["EncodedPixels"].strip():
        yield name, kind, cells["EncodedPixels"]
