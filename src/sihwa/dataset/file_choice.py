"""Which image files of a data set are used: all but those that a glob excludes.

Masks are often stored beside the images that they belong to. Learnt as images they give labels
away, so what is named like a mask is told.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from wcmatch import glob

from sihwa.errors import ConfigError, DatasetError
from sihwa.images import Listing, service_name

_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.IGNORECASE
_SEPARATOR = re.compile(r"(?<=[^._ -])[._ -]+")
_MASK_FOLDERS = frozenset(
    ("annotation", "annotations", "ground truth", "ground_truth", "groundtruth", "gt", "label",
     "labels", "mask", "masks", "segmentation", "segmentations")
)  # fmt: skip
_LEAST_PAIRS, _LEAST_SHARE = 3, 0.2
_NAMED, _MOST_WORDS = 3, 4


def without_excluded(
    exclude: Sequence[str], names: Sequence[str]
) -> tuple[list[bool], tuple[str, ...]]:
    """Return which names are kept, N flags, and what a user should know.

    Args:
        exclude: Globs. One without a slash matches the name of a file, or of a folder and all
            below it; one with a slash matches the path below the root. Case is ignored.
        names: Paths below the root, with slashes, N.

    Raises:
        ConfigError: A glob is empty.
        DatasetError: Nothing is left.
    """
    kept, notes = [True] * len(names), []
    for pattern in exclude:
        bare = pattern.strip().strip("/")
        if not bare:
            raise ConfigError(f"dataset.exclude: expected globs such as *_mask.*, got {pattern!r}")
        wide = bare if "/" in bare else f"**/{bare}"
        matcher = glob.compile([wide, f"{wide}/**"], flags=_FLAGS)
        found = [bool(matcher.match(name)) for name in names]
        kept = [one and not out for one, out in zip(kept, found, strict=True)]
        notes.append(f"dataset.exclude: {pattern} leaves out {sum(found)} of {len(names)} images")
    if names and not any(kept):
        raise DatasetError(f"dataset.exclude={list(exclude)} leaves no image of {len(names)}")
    return kept, tuple(notes)


def suffixes_of(paths: Sequence[str]) -> str:
    """Return the most frequent suffixes of files in brackets, or nothing.

    >>> suffixes_of(["a/1.HEIC", "a/2.heic", "a/notes.txt"]), suffixes_of(["a/README"])
    (' (.heic, .txt)', '')
    """
    count = Counter(Path(path).suffix.lower() for path in paths)
    count.pop("", None)
    return f" ({', '.join(name for name, _ in count.most_common(_NAMED))})" if count else ""


def listing_notes(listing: Listing) -> list[str]:
    """Return what a user should know of what was found and is not read."""
    notes = []
    if listing.service:
        names = Counter(_service_kind(path) for path in listing.service)
        kinds = ", ".join(f"{count} {name}" for name, count in names.most_common(_NAMED))
        more = ", ..." if len(names) > _NAMED else ""
        notes.append(
            f"{len(listing.service)} hidden or service files and folders were left out: "
            f"{kinds}{more}"
        )
    if listing.linked:
        notes.append(
            f"{len(listing.linked)} links to folders were not followed, because those folders are "
            f"listed elsewhere: {', '.join(listing.linked[:_NAMED])}"
        )
    return notes


def mask_notes(names: Sequence[str]) -> list[str]:
    """Return a note of names that look like masks beside the images.

    Args:
        names: Paths of images below the root, with slashes, N.

    >>> mask_notes(["a/1.png", "a/1_mask.bmp", "a/2.png", "a/2_mask.bmp", "a/3.png"])
    []
    >>> mask_notes([f"a/{n}{kind}.png" for n in range(3) for kind in ("", "_mask")])[0][:64]
    "3 images are named like another one with '_mask' at the end, suc"
    """
    found = [*_paired(names), *_twins(names)]
    in_folders = defaultdict(list)
    for name in names:
        for folder in name.split("/")[:-1]:
            if folder.lower() in _MASK_FOLDERS:
                in_folders[folder].append(name)
    found += [
        f"{len(inside)} images lie in a folder {folder!r}, such as {inside[0]}; if they are masks, "
        f'leave them out: "dataset.exclude=[{folder}]"'
        for folder, inside in in_folders.items()
    ]
    return found


def _paired(names: Sequence[str]) -> list[str]:
    """Return a note for each ending that turns the names of images into those of others."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(_stem(name), name)
    pairs: dict[str, list[str]] = defaultdict(list)
    for name in names:
        stem = _stem(name)
        places = [match.start() for match in _SEPARATOR.finditer(stem)][-_MOST_WORDS:]
        for place in reversed(places):
            if stem[:place] in first and any(map(str.isalpha, stem[place:])):
                pairs[stem[place:]].append(name)
                break
    return [
        f"{len(found)} images are named like another one with {ending!r} at the end, such as "
        f"{first[_stem(found[0])[: -len(ending)]]} and {found[0]}; if they are masks, leave them "
        f'out: "dataset.exclude=[*{_as_glob(ending)}.*]"'
        for ending, found in pairs.items()
        if _are_many(len(found), len(names))
    ]


def _as_glob(text: str) -> str:
    """Return a glob of a text; what a glob or a shell could take otherwise is any letter."""
    return re.sub(r"[^\w.-]", "?", text)


def _twins(names: Sequence[str]) -> list[str]:
    """Return a note for each suffix of files that stand beside one of the same stem."""
    beside: dict[str, list[str]] = defaultdict(list)
    for name in names:
        beside[name.rpartition(".")[0]].append(name)
    twins: dict[str, list[str]] = defaultdict(list)
    for one, *others in beside.values():
        for other in others:
            kinds = sorted((one.rpartition(".")[2], other.rpartition(".")[2]), key=_mask_kind)
            twins[" and .".join(kinds)].append(one)
    return [
        f"{len(found)} images have the same name as another one but for its suffix (.{kinds}), "
        f"such as {found[0]}; if one of the two is a mask, leave it out: "
        f'"dataset.exclude=[*.{kinds.rpartition(".")[2]}]"'
        for kinds, found in twins.items()
        if _are_many(len(found), len(names))
    ]


def _mask_kind(suffix: str) -> tuple[bool, str]:
    """Return a key that puts the suffix last that a mask has: it must not lose pixels."""
    return suffix.lower() in ("png", "bmp", "tif", "tiff"), suffix


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _service_kind(path: str) -> str:
    last = path.replace("\\", "/").rpartition("/")[2]
    name = service_name(last) or service_name(path) or last
    return "._*" if name.startswith("._") else name


def _are_many(count: int, total: int) -> bool:
    return count >= max(_LEAST_PAIRS, _LEAST_SHARE * total)
