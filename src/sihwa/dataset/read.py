"""From settings to a manifest: find the images, decode each once, assign splits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from sihwa.dataset.alike import Alike, alike_notes, find_alike, require_one_label, without_divided
from sihwa.dataset.classes import match_classes, require_distinct_names, settle_classes
from sihwa.dataset.config import (
    AutoConfig,
    DatasetConfig,
    ElpvConfig,
    ImageFolderConfig,
    NeuDetConfig,
    PublicSetConfig,
    TabularConfig,
)
from sihwa.dataset.earlier_splits import earlier_splits, known_splits, note_kept
from sihwa.dataset.elpv import find_elpv
from sihwa.dataset.grey_levels import find_white, level_notes
from sihwa.dataset.groups import read_groups, require_several_groups, time_notes, with_groups
from sihwa.dataset.image_folder import find_image_folder
from sihwa.dataset.item import Item, Source
from sihwa.dataset.manifest import LIMIT, MANIFEST_SCHEMA, Manifest, path_columns
from sihwa.dataset.measured_image import MeasuredImage, measure_image
from sihwa.dataset.neu_det import find_neu_det
from sihwa.dataset.recognise import find_auto, find_public
from sihwa.dataset.split import (
    absent_notes,
    assign_splits,
    find_components,
    require_one_given_split,
    thin_training,
)
from sihwa.dataset.tabular import find_tabular
from sihwa.errors import ConfigError, DatasetError, UnreadableImage, carrying
from sihwa.images import Decoding, map_with_progress
from sihwa.terminal.names import text_of_name

_FINDERS: dict[type[DatasetConfig], Callable[[Any], Source]] = {
    AutoConfig: find_auto,
    ElpvConfig: find_elpv,
    ImageFolderConfig: find_image_folder,
    NeuDetConfig: find_neu_det,
    PublicSetConfig: find_public,
    TabularConfig: find_tabular,
}
_LISTED = 20


def read_dataset(config: DatasetConfig, seed: int) -> Manifest:
    """Read every image of a data set once and assign splits.

    Decoding here only checks the images and takes their sizes; training decodes them again with
    `Manifest.read_image`.

    Args:
        config: Of one of the kinds of data sets, such as ImageFolderConfig.
        seed: Seed of the splits that the source does not give.

    Raises:
        DatasetError: The images or labels cannot be used.
        ConfigError: `accept_classes` names an unknown class, or every class.
    """
    source = _find(config)
    notes = list(source.notes)
    with carrying(notes):
        require_distinct_names(source.items)
        return _read_source(source, config, seed, notes)


def read_as_given(config: DatasetConfig) -> Manifest:
    """Read a data set as it is, for an audit: what a run would refuse is kept.

    Unreadable images are dropped. The split of an image without one is an empty text.

    Raises:
        DatasetError: The images or labels cannot be listed, or there are less than two classes.
        ConfigError: `accept_classes` names an unknown class, or every class.
    """
    source = _find(config)
    notes = list(source.notes)
    with carrying(notes):
        read = _read_images(source, replace(config, on_unreadable="drop"))
        notes += read.notes
        items, measured = read.items, read.measured
        classes = _used_classes(source, items, read.dropped)
        alike = _find_alike(measured)
        items, group_notes = _grouped(config.group, items, measured, alike)
        return Manifest(
            table=_table(items, measured, alike, [item.split or "" for item in items]),
            name=source.name or config.name,
            classes=classes,
            accept_classes=_accept_classes(config, source, classes),
            licence=source.licence or config.licence,
            dropped=read.dropped,
            notes=(*notes, *group_notes),
            decoding=read.decoding,
            facts={one.sha256: one.facts for one in measured},
            given_splits=any(item.split for item in items),
        )


def _find(config: DatasetConfig) -> Source:
    """Return the images of a data set, with the classes that the settings make."""
    source = _FINDERS[type(config)](config)
    with carrying(source.notes):
        settled = settle_classes(source, config)
    if config.split.given == "ignore":
        return replace(settled, items=[replace(item, split=None) for item in settled.items])
    return settled


class _Read(NamedTuple):
    """The images of a source that can be read."""

    items: list[Item]
    measured: list[MeasuredImage]
    dropped: tuple[UnreadableImage, ...]
    decoding: Decoding
    notes: tuple[str, ...]


def _read_images(source: Source, config: DatasetConfig) -> _Read:
    """Decode every image before any training, so that a damaged one is found at once."""
    decoding, notes = find_white(
        config.white,
        [item.path for item in source.items],
        Decoding(config.max_pixels, setting=LIMIT),
    )
    measured = map_with_progress(
        "reading", lambda item: measure_image(item.path, decoding), source.items
    )
    dropped = [one for one in measured if isinstance(one, UnreadableImage)]
    if dropped and config.on_unreadable == "fail":
        listed = "; ".join(map(str, dropped[:_LISTED]))
        more = f"; and {len(dropped) - _LISTED} more" if len(dropped) > _LISTED else ""
        raise DatasetError(
            f"{len(dropped)} of {len(measured)} images cannot be read; repair or remove them, or "
            f"leave them out with dataset.on_unreadable=drop: {listed}{more}"
        )
    kept = [
        (item, one)
        for item, one in zip(source.items, measured, strict=True)
        if isinstance(one, MeasuredImage)
    ]
    items, found = [item for item, _ in kept], [one for _, one in kept]
    paths = [item.path for item in items]
    lost = sorted({item.label for item in source.items} - {item.label for item in items})
    notes += tuple(
        f"no image of the class {name!r} could be read, so the class is dropped" for name in lost
    )
    return _Read(
        items, found, tuple(dropped), decoding, notes + level_notes(paths, found, decoding)
    )


def _read_source(source: Source, config: DatasetConfig, seed: int, notes: list[str]) -> Manifest:
    read = _read_images(source, config)
    items, measured = read.items, read.measured
    notes += read.notes
    sha256 = [one.sha256 for one in measured]
    classes = _used_classes(source, items, read.dropped)
    accept_classes = _accept_classes(config, source, classes)
    alike = _find_alike(measured)
    items, group_notes = _grouped(config.group, items, measured, alike)
    notes += group_notes
    require_one_label(items, sha256, alike.copy_of)
    notes += alike_notes(items, sha256, alike.copy_of)
    group = [item.group for item in items]
    known = known_splits(config.split.from_run, items)
    require_one_given_split(items, find_components(group, sha256))
    component = find_components(group, sha256, without_divided(alike.copy_of, sha256, known))
    earlier = earlier_splits(known, items, sha256, component)
    require_several_groups(config.group, items)
    split = assign_splits(items, component, config.split, seed, earlier=earlier)
    table = _table(items, measured, alike, split)
    notes += note_kept(known, sha256)
    notes += absent_notes([item.label for item in items], split)
    if limit := config.split.train_per_class:
        rows = thin_training([item.label for item in items], split, sha256, limit, seed)
        if left_out := len(items) - len(rows):
            notes.append(
                f"{left_out} training images are left out: at most "
                f"dataset.split.train_per_class={limit} of each class are used"
            )
        table = table.take(rows)
    if not accept_classes:
        notes.append(
            "no accept class is named, so every image counts as a defect; "
            'name the classes that pass with "dataset.accept_classes=[NAME]"'
        )
    return Manifest(
        table=table,
        name=source.name or config.name,
        classes=classes,
        accept_classes=accept_classes,
        licence=source.licence or config.licence,
        dropped=read.dropped,
        notes=tuple(notes),
        decoding=read.decoding,
        facts={one.sha256: one.facts for one in measured},
        given_splits=any(item.split for item in items),
    )


def _find_alike(measured: Sequence[MeasuredImage]) -> Alike:
    return find_alike([one.sha256 for one in measured], [one.thumbnail for one in measured])


def _grouped(
    setting: str | None, items: Sequence[Item], measured: Sequence[MeasuredImage], alike: Alike
) -> tuple[list[Item], list[str]]:
    """Return the items with their groups, and notes on these."""
    if setting is None:
        return list(items), []
    if setting == "similar":
        return with_groups(setting, items, alike.similar), []
    exif_time = [one.facts.exif_time for one in measured]
    return read_groups(setting, items, exif_time), time_notes(setting, exif_time)


def _used_classes(
    source: Source, items: Sequence[Item], dropped: Sequence[UnreadableImage]
) -> tuple[str, ...]:
    used = {item.label for item in items}
    classes = tuple(name for name in source.classes if name in used)
    if len(classes) < 2:
        lost = ""
        if dropped:
            lost = (
                f": {len(dropped)} of {len(source.items)} images could not be read and were "
                f"dropped, such as {dropped[0]}"
            )
        raise DatasetError(
            f"expected images of at least two classes, got {len(classes)}"
            f"{f' ({classes[0]})' if classes else ''}{lost}"
        )
    return classes


def _accept_classes(
    config: DatasetConfig, source: Source, classes: tuple[str, ...]
) -> tuple[str, ...]:
    named = match_classes("dataset.accept_classes", config.accept_classes, classes)
    wanted = named or source.accept_classes
    accepted = tuple(name for name in classes if name in wanted)
    if accepted == classes:
        raise ConfigError(
            "dataset.accept_classes: every class would pass; leave out at least one defect class"
        )
    return accepted


def _table(
    items: Sequence[Item], measured: Sequence[MeasuredImage], alike: Alike, split: Sequence[str]
) -> pa.Table:
    names = sorted({name for item in items for name in item.attributes})
    path, path_bytes = path_columns([item.path for item in items])
    columns = {
        "path": path,
        "label": [item.label for item in items],
        "group": [item.group and text_of_name(item.group)[0] for item in items],
        "split": split,
        "sha256": [one.sha256 for one in measured],
        "width": [one.facts.width for one in measured],
        "height": [one.facts.height for one in measured],
        "boxes": [item.boxes and [box._asdict() for box in item.boxes] for item in items],
        **alike._asdict(),
        "path_bytes": path_bytes,
        "exif_time": [one.facts.exif_time or None for one in measured],
        **{name: [item.attributes.get(name) for item in items] for name in names},
    }
    schema = pa.schema([*MANIFEST_SCHEMA, *(pa.field(name, pa.string()) for name in names)])
    return pa.table(columns, schema=schema)
