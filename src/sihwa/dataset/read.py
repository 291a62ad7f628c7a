"""From settings to a manifest: find the images, look at each, divide them."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa

from sihwa.dataset.config import (
    DatasetConfig,
    ElpvConfig,
    ImageFolderConfig,
    NeuDetConfig,
    TabularConfig,
)
from sihwa.dataset.elpv import find_elpv
from sihwa.dataset.image_folder import find_image_folder
from sihwa.dataset.item import Item, Source
from sihwa.dataset.manifest import MANIFEST_SCHEMA, Manifest
from sihwa.dataset.neu_det import find_neu_det
from sihwa.dataset.split import assign_splits, thin_training
from sihwa.dataset.tabular import find_tabular
from sihwa.errors import (
    ConfigError,
    InvalidLabels,
    SihwaError,
    UnreadableImage,
    UnreadableImages,
)
from sihwa.images import decode_image, read_bytes
from sihwa.storage import sha256_of_bytes
from sihwa.terminal.progress import progress_bar

log = logging.getLogger(__name__)

_FINDERS: dict[type[DatasetConfig], Callable[[Any], Source]] = {
    ElpvConfig: find_elpv,
    ImageFolderConfig: find_image_folder,
    NeuDetConfig: find_neu_det,
    TabularConfig: find_tabular,
}
_LISTED = 20


def read_dataset(config: DatasetConfig, seed: int) -> Manifest:
    """Read every image of a data set once and divide them into splits.

    Args:
        config: One of ElpvConfig, ImageFolderConfig, NeuDetConfig, TabularConfig.
        seed: Picks the division where the source gives none.

    Raises:
        DatasetError: The images or labels cannot be used.
        ConfigError: `accept_classes` names a class that is not there.
    """
    source = _FINDERS[type(config)](config)
    try:
        return _read_source(source, config, seed)
    except SihwaError:
        for note in source.notes:  # there is no manifest to carry them
            log.warning("%s", note)
        raise


def _read_source(source: Source, config: DatasetConfig, seed: int) -> Manifest:
    content = _look_at_all(source.items)
    kept = [
        (item, facts)
        for item, facts in zip(source.items, content, strict=True)
        if isinstance(facts, _Content)
    ]
    dropped = [facts for facts in content if isinstance(facts, UnreadableImage)]
    if dropped and config.on_unreadable == "fail":
        raise UnreadableImages(_list_unreadable(dropped, len(content)), dropped)
    classes = _used_classes(source, [item for item, _ in kept])
    accept_classes = _accept_classes(config, source, classes)
    sha256 = [facts.sha256 for _, facts in kept]
    split = assign_splits([item for item, _ in kept], sha256, config.split, seed)
    notes = source.notes
    if limit := config.split.train_per_class:
        rows = thin_training([item.label for item, _ in kept], split, sha256, limit, seed)
        if left_out := len(kept) - len(rows):
            notes += (
                f"{left_out} training images are left out: at most "
                f"dataset.split.train_per_class={limit} of each class are used",
            )
        kept, split = [kept[row] for row in rows], [split[row] for row in rows]
    if not accept_classes:
        notes += (
            "no accept class is named, so every image counts as a defect; "
            "name what may pass with 'dataset.accept_classes=[NAME]'",
        )
    return Manifest(
        table=_table(kept, split),
        name=config.name,
        classes=classes,
        accept_classes=accept_classes,
        licence=config.licence,
        dropped=tuple(dropped),
        notes=notes,
    )


class _Content(NamedTuple):
    sha256: str
    width: int
    height: int


def _look_at_all(items: Sequence[Item]) -> list[_Content | UnreadableImage]:
    """Read and decode every image, so that a damaged one is found before any training."""
    threads = ThreadPoolExecutor(os.cpu_count())
    found = []
    try:
        with progress_bar("reading", len(items)) as advance:
            for content in threads.map(_look_at, [item.path for item in items]):
                found.append(content)
                advance(1)
    finally:
        threads.shutdown(cancel_futures=True)  # on Ctrl-C the images in hand are the last
    return found


def _look_at(path: str) -> _Content | UnreadableImage:
    try:
        content = read_bytes(path)
        height, width, _ = decode_image(content, path).shape
    except UnreadableImage as error:
        return error
    return _Content(sha256_of_bytes(content), width, height)


def _list_unreadable(images: Sequence[UnreadableImage], total: int) -> str:
    more = [f"and {len(images) - _LISTED} more"] if len(images) > _LISTED else []
    return (
        f"{len(images)} of {total} images cannot be read; repair or remove them, or leave them "
        f"out with dataset.on_unreadable=drop: {'; '.join([*map(str, images[:_LISTED]), *more])}"
    )


def _used_classes(source: Source, items: Sequence[Item]) -> tuple[str, ...]:
    used = {item.label for item in items}
    classes = tuple(name for name in source.classes if name in used)
    if len(classes) < 2:
        raise InvalidLabels(
            f"expected images of at least two classes, got {len(classes)}"
            f"{f' ({classes[0]})' if classes else ''}; an inspector needs to see what it is to "
            "tell apart"
        )
    return classes


def _accept_classes(
    config: DatasetConfig, source: Source, classes: tuple[str, ...]
) -> tuple[str, ...]:
    unknown = [name for name in config.accept_classes if name not in classes]
    if unknown:
        raise ConfigError(
            f"dataset.accept_classes: no class {unknown[0]!r}; there are {', '.join(classes)}"
        )
    wanted = config.accept_classes or source.accept_classes
    accepted = tuple(name for name in classes if name in wanted)
    if accepted == classes:
        raise ConfigError(
            "dataset.accept_classes: every class would pass; leave out at least one defect"
        )
    return accepted


def _table(kept: Sequence[tuple[Item, _Content]], split: Sequence[str]) -> pa.Table:
    items = [item for item, _ in kept]
    names = sorted({name for item in items for name in item.attributes})
    columns = {
        "path": [item.path for item in items],
        "label": [item.label for item in items],
        "group": [item.group for item in items],
        "split": split,
        "sha256": [facts.sha256 for _, facts in kept],
        "width": [facts.width for _, facts in kept],
        "height": [facts.height for _, facts in kept],
        "boxes": [item.boxes and [box._asdict() for box in item.boxes] for item in items],
        **{name: [item.attributes.get(name) for item in items] for name in names},
    }
    schema = pa.schema([*MANIFEST_SCHEMA, *(pa.field(name, pa.string()) for name in names)])
    return pa.table(columns, schema=schema)
