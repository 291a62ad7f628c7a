"""Images in one folder per class, optionally below one folder per split."""

from collections.abc import Sequence
from pathlib import Path

from sihwa.dataset.config import ImageFolderConfig
from sihwa.dataset.exports import name_export
from sihwa.dataset.file_choice import mask_notes, suffixes_of
from sihwa.dataset.item import Item, Source, clean_label, list_root, read_split_name, relative_parts
from sihwa.errors import DatasetError, carrying
from sihwa.images import Listing, service_name
from sihwa.terminal.names import counted

_NAMED = 5


def find_image_folder(config: ImageFolderConfig) -> Source:
    """List `<class>/...` or `{train,calibration|val,test}/<class>/...`, at any depth.

    A single outer folder, as archives often have, is passed through, with a note.

    Raises:
        DatasetError: There is no image, one is outside every class folder, or splits and classes
            are mixed.
    """
    root, listing, found = list_root(config.root, config.exclude)
    with carrying(found):
        return _label_images(root, listing, found)


def _label_images(root: Path, listing: Listing, found: Sequence[str]) -> Source:
    pairs = [(path, relative_parts(path, root)) for path in listing.images]
    levels = [root]
    while len({parts[0] for _, parts in pairs}) == 1 and min(len(p) for _, p in pairs) > 2:
        levels.append(levels[-1] / pairs[0][1][0])
        pairs = [(path, parts[1:]) for path, parts in pairs]
    in_splits = _has_split_folders(root, {parts[0] for _, parts in pairs if len(parts) > 1})
    items = [_read_item(path, parts, in_splits, listing) for path, parts in pairs]
    classes = tuple(sorted({item.label for item in items}))
    notes = [*found, *_note_passed(levels, root, classes)]
    if in_splits:
        levels += [levels[-1] / name for name in sorted({parts[0] for _, parts in pairs})]
    notes += _note_empty_folders(levels, listing)
    notes += mask_notes(["/".join(parts) for _, parts in pairs])
    if len(classes) == 1 and (export := name_export(listing)):
        raise DatasetError(f"dataset.root: {root}: {export}")
    if listing.others:
        notes.append(
            f"skipped: {counted(listing.others, 'file')} without an image suffix"
            f"{suffixes_of(listing.other_files)}"
        )
    return Source(items, classes, notes=tuple(notes))


def _note_passed(levels: Sequence[Path], root: Path, classes: Sequence[str]) -> list[str]:
    """Return a note if the folders of classes are not those directly below the root."""
    if len(levels) == 1:
        return []
    passed = levels[-1].relative_to(root).as_posix()
    listed = ", ".join(classes[:_NAMED]) + (", ..." if len(classes) > _NAMED else "")
    return [
        f"all images are below {passed}, so the folders in it were taken for the classes: "
        f"{listed}; if {levels[-1].name} is itself a class, add the folders of the others beside it"
    ]


def _note_empty_folders(levels: Sequence[Path], listing: Listing) -> list[str]:
    """Return a note for each folder on these levels that has no image below it."""
    filled = {parent for path in listing.images for parent in Path(path).parents}
    return [
        f"{folder} contains no image, so no class was made of it"
        for level in levels
        if level.is_dir()  # an archive has no folders to list
        for folder in sorted(level.iterdir())
        if folder.is_dir()
        and not service_name(folder.name)
        and str(folder) not in listing.linked
        and folder not in filled
    ]


def _has_split_folders(root: Path, folders: set[str]) -> bool:
    """Tell whether the outer folders are splits rather than classes."""
    splits = sorted(name for name in folders if read_split_name(name))
    classes = sorted(folders - set(splits))
    if splits and classes:
        raise DatasetError(
            f"{root}: expected class folders, or the folders train, calibration (or val) and "
            f"test; got splits ({', '.join(splits)}) beside {', '.join(classes[:5])}"
        )
    return bool(splits)


def _read_item(path: str, parts: list[str], in_splits: bool, listing: Listing) -> Item:
    if len(parts) < 2 + in_splits:
        layout = "<split>/<class>/..." if in_splits else "<class>/..."
        advice = name_export(listing) or "move it into its class folder"
        raise DatasetError(f"{path}: expected below {layout}; {advice}")
    split = read_split_name(parts[0]) if in_splits else None
    return Item(path, clean_label(parts[1] if in_splits else parts[0], path), split=split)
