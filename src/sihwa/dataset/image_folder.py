"""Images in one folder per class, optionally below one folder per split."""

from collections.abc import Sequence
from pathlib import Path

from sihwa.dataset.config import ImageFolderConfig
from sihwa.dataset.item import Item, Source, clean_label, list_root, read_split_name, relative_parts
from sihwa.errors import DatasetError


def find_image_folder(config: ImageFolderConfig) -> Source:
    """List `<class>/...` or `{train,calibration|val,test}/<class>/...`, at any depth.

    A single outer folder, as archives often have, is skipped.

    Raises:
        DatasetError: There is no image, one is outside every class folder, or splits and classes
            are mixed.
    """
    root, listing = list_root(config.root)
    pairs = [(path, relative_parts(path, root)) for path in listing.images]
    levels = [root]
    while len({parts[0] for _, parts in pairs}) == 1 and min(len(p) for _, p in pairs) > 2:
        levels.append(levels[-1] / pairs[0][1][0])
        pairs = [(path, parts[1:]) for path, parts in pairs]
    in_splits = _has_split_folders(root, {parts[0] for _, parts in pairs if len(parts) > 1})
    items = [_read_item(path, parts, in_splits) for path, parts in pairs]
    if in_splits:
        levels += [levels[-1] / name for name in sorted({parts[0] for _, parts in pairs})]
    notes = _note_empty_folders(levels, listing.images)
    if listing.others:
        notes.append(f"{listing.others} files without an image suffix were skipped")
    return Source(items, tuple(sorted({item.label for item in items})), notes=tuple(notes))


def _note_empty_folders(levels: Sequence[Path], images: Sequence[str]) -> list[str]:
    """Return a note for each folder on these levels that has no image below it."""
    filled = {parent for path in images for parent in Path(path).parents}
    return [
        f"{folder} is a link and was skipped: links are not followed"
        if folder.is_symlink()
        else f"{folder} contains no image, so no class was made of it"
        for level in levels
        if level.is_dir()  # an archive has no folders to list
        for folder in sorted(level.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and folder not in filled
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


def _read_item(path: str, parts: list[str], in_splits: bool) -> Item:
    if len(parts) < 2 + in_splits:
        layout = "<split>/<class>/..." if in_splits else "<class>/..."
        raise DatasetError(f"{path}: expected below {layout}; move it into its class folder")
    split = read_split_name(parts[0]) if in_splits else None
    return Item(path, clean_label(parts[1] if in_splits else parts[0], path), split=split)
