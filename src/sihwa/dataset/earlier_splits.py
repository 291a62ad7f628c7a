"""The splits of an earlier run, which `dataset.split.from_run` keeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sihwa.dataset.item import Item
from sihwa.dataset.manifest import read_manifest
from sihwa.errors import DatasetError


def known_splits(from_run: str | None, items: Sequence[Item]) -> dict[str, str]:
    """Return the split of each image of an earlier run, {sha256: split}; {} without one."""
    if from_run is None:
        return {}
    if any(item.split for item in items):
        raise DatasetError(
            "dataset.split.from_run: the data set gives splits itself; leave them out with "
            "dataset.split.given=ignore, or leave out from_run"
        )
    folder = Path(from_run).expanduser()
    if not from_run.strip() or not (folder / "manifest.parquet").is_file():
        raise DatasetError(
            "dataset.split.from_run: expected the folder of a run, such as "
            f"outputs/2026-01-31/14-05-09, got {from_run!r}"
        )
    if (folder / "fold-1").exists():
        raise DatasetError(
            f"dataset.split.from_run: {folder} is a cross-validation, each fold of which has its "
            "own splits; name one of its folds, such as fold-1"
        )
    table = read_manifest(folder / "manifest.parquet").table
    return dict(zip(table["sha256"].to_pylist(), table["split"].to_pylist(), strict=True))


def note_kept(known: Mapping[str, str], sha256: Sequence[str]) -> tuple[str, ...]:
    """Return a note of how many images keep the split of an earlier run."""
    if not known:
        return ()
    kept = sum(content in known for content in sha256)
    if not kept:
        raise DatasetError(
            f"dataset.split.from_run: none of the {len(sha256)} images was in that run, by content"
        )
    return (f"{kept} of {len(sha256)} images keep the split of the earlier run",)


def earlier_splits(
    known: Mapping[str, str], items: Sequence[Item], sha256: Sequence[str], component: Sequence[str]
) -> dict[str, str]:
    """Return the split of each component that an earlier run had, from those of its images."""
    first: dict[str, tuple[Item, str]] = {}
    for item, content, name in zip(items, sha256, component, strict=True):
        if content in known:
            other, split = first.setdefault(name, (item, known[content]))
            if split != known[content]:
                raise DatasetError(
                    f"dataset.split.from_run: {other.path} was in {split} and {item.path} in "
                    f"{known[content]}, but now they belong together; draw anew without from_run"
                )
    return {name: split for name, (_, split) in first.items()}
