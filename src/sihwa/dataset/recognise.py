"""Public sets by name, or told by the names of their images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sihwa.dataset.config import AutoConfig, ImageFolderConfig, PublicSetConfig
from sihwa.dataset.image_folder import find_image_folder
from sihwa.dataset.item import Source, list_root
from sihwa.dataset.public_set import PublicSet
from sihwa.dataset.public_sets import PUBLIC_SETS
from sihwa.errors import ConfigError, DatasetError, carrying
from sihwa.images import Listing

_LEAST_SHARE = 0.95
"""Of image files named as in a set that is recognised; others may be the figures of a README."""
_LEAST_PART = 0.05
"""Of image files named as in a set that shares a folder with another."""


def find_public(config: PublicSetConfig) -> Source:
    """List the images of the public set that the settings name.

    Raises:
        DatasetError: The root is not laid out as that set, or an annotation is damaged.
        ConfigError: No set has that name.
    """
    public = PUBLIC_SETS.get(config.layout)
    if public is None:
        names = ", ".join(PUBLIC_SETS)
        raise ConfigError(f"dataset.layout must be one of {names}; got {config.layout!r}")
    root, listing, notes = list_root(config.root, config.exclude)
    with carrying(notes):
        return _after(notes, public.find(root, listing))


def find_auto(config: AutoConfig) -> Source:
    """List the images of the only public set that fits, else of one folder per class.

    Raises:
        DatasetError: Two sets fit, or the images of the one that fits cannot be used.
    """
    root, listing, notes = list_root(config.root, config.exclude)
    with carrying(notes):
        public = recognise_set(root, listing)
    if public is None:
        source = find_image_folder(ImageFolderConfig(root=config.root, exclude=config.exclude))
        return _renamed(source, config, "image folder", "")
    named = round(public.share(root, listing) * len(listing.images))
    note = (
        f"taken for {public.title}, because {named} of {len(listing.images)} image files have "
        f"names of it, such as {public.layout[0]}; dataset=image_folder takes folders for classes"
    )
    with carrying([*notes, note]):
        source = _after([note, *notes], public.find(root, listing))
    return _renamed(source, config, public.title, public.licence)


def recognise_set(root: Path, listing: Listing) -> PublicSet | None:
    """Return the public set that the names of images fit, or None.

    Raises:
        DatasetError: More than one fits, or is there.
    """
    share = {public.name: public.share(root, listing) for public in PUBLIC_SETS.values()}
    fitting = [name for name in share if share[name] >= _LEAST_SHARE]
    there = fitting or [name for name in share if share[name] >= _LEAST_PART]
    if len(there) > 1 and sum(share[name] for name in there) >= _LEAST_SHARE:
        raise DatasetError(
            f"dataset.root: {root} fits {' and '.join(there)}; point dataset.root to one of them, "
            "or name it with dataset=NAME"
        )
    return PUBLIC_SETS[fitting[0]] if fitting else None


def _after(notes: Sequence[str], source: Source) -> Source:
    """Return a source with notes before its own."""
    return replace(source, notes=(*notes, *source.notes))


def _renamed(source: Source, config: AutoConfig, name: str, licence: str) -> Source:
    """Return a source with a name and licence that the settings leave open."""
    open_name, open_licence = AutoConfig.name, AutoConfig.licence
    return replace(
        source,
        name=name if config.name in ("auto", open_name) else "",
        licence=licence if config.licence == open_licence else "",
    )
