"""NEU: 1,800 images of hot-rolled steel strip, six kinds of defect, 200 × 200 pixels.

Song and Yan 2013, Applied Surface Science 285. Three layouts exist: the official NEU-DET (IMAGES,
ANNOTATIONS), one with train and validation folders, and the bare files of NEU-CLS (`Cr_1.bmp`).
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from sihwa.dataset.config import NeuDetConfig
from sihwa.dataset.item import Box, Item, Source, list_root, relative_parts
from sihwa.errors import DatasetError, UnreadableImage, carrying
from sihwa.images import read_bytes

_CLASSES = {
    "crazing": "Cr",
    "inclusion": "In",
    "patches": "Pa",
    "pitted_surface": "PS",
    "rolled-in_scale": "RS",
    "scratches": "Sc",
}
_LABEL = {prefix: name for name, short in _CLASSES.items() for prefix in (name, short)}
_MAX_XML_BYTES = 1_000_000


def find_neu_det(config: NeuDetConfig) -> Source:
    """List the images with the label in their name, and their boxes if there are any.

    In the train and validation layout, validation is the test split, as in papers that use it.

    Raises:
        DatasetError: There is no image, a name has no known class, or an annotation is damaged.
    """
    root, listing, found = list_root(config.root, config.exclude)
    with carrying(found):
        items, notes = read_neu_det([(path, relative_parts(path, root)) for path in listing.images])
    return Source(items, tuple(_CLASSES), notes=(*found, *notes))


def read_neu_det(images: Sequence[tuple[str, list[str]]]) -> tuple[list[Item], list[str]]:
    """Label images by the folders and names of their paths; return notes as well."""
    items = [_read_item(path, parts) for path, parts in images]
    bare = sum(item.boxes is None for item in items)
    return items, [f"{bare} images have no annotation"] if 0 < bare < len(items) else []


def _read_item(path: str, parts: list[str]) -> Item:
    prefix = parts[-1].rpartition(".")[0].rpartition("_")[0]
    label = _LABEL.get(prefix)
    if label is None:
        raise DatasetError(
            f"{path}: expected a NEU name such as crazing_1.jpg or Cr_1.bmp; for your own images "
            "use dataset=image_folder"
        )
    if len(parts) > 1 and parts[-2] in _CLASSES and parts[-2] != label:
        raise DatasetError(f"{path}: in the folder {parts[-2]}, but its name says {label}")
    folders = [name.lower() for name in parts[:-1]]
    split = "train" if "train" in folders else "test" if "validation" in folders else None
    return Item(path, label, split=split, boxes=_find_boxes(path, label))


def _find_boxes(path: str, label: str) -> tuple[Box, ...] | None:
    folder = re.sub(rf"[/\\]({re.escape(label)}[/\\])?[^/\\]*$", "", path)
    annotations = {"IMAGES": "ANNOTATIONS", "images": "annotations"}.get(folder[-6:])
    if annotations is None:
        return None
    xml = f"{folder[:-6]}{annotations}/{Path(path).stem}.xml"
    try:
        content = read_bytes(xml, _MAX_XML_BYTES)
    except UnreadableImage:
        return None  # counted in the notes; the label comes from the name
    return read_boxes(content, xml)


def read_boxes(content: bytes, path: str) -> tuple[Box, ...]:
    """Read the boxes of a Pascal VOC annotation.

    Raises:
        DatasetError: Not UTF-8 XML, a declared document type, or an impossible box.
    """
    try:
        text = content.decode("utf-8-sig")
        if "<!" in re.sub("<!--.*?-->", "", text, flags=re.DOTALL):
            # entities of a document type can expand without bound
            raise DatasetError(f"{path}: an annotation must not declare a document type")
        return tuple(_read_box(node) for node in ET.fromstring(text).iter("object"))
    except (UnicodeDecodeError, ET.ParseError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: expected a Pascal VOC annotation: {error}") from error


def _read_box(node: ET.Element) -> Box:
    edges = [
        round(float(node.findtext(f"bndbox/{name}", "none")))
        for name in ("xmin", "ymin", "xmax", "ymax")
    ]
    xmin, ymin, xmax, ymax = edges
    if not (0 <= xmin <= xmax < 2**31 and 0 <= ymin <= ymax < 2**31):
        raise ValueError(f"a box of xmin {xmin}, ymin {ymin}, xmax {xmax}, ymax {ymax}")
    return Box(node.findtext("name", ""), xmin, ymin, xmax, ymax)
