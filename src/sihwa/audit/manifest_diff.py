"""What differs between two data sets, by content: order, names and places do not count."""

from collections import defaultdict
from dataclasses import dataclass

from sihwa.dataset import Manifest


@dataclass(frozen=True)
class Change:
    """An image whose label or split differs."""

    path: str
    """In the second data set."""
    before: str
    after: str
    """Several, where the content occurs several times, have commas between."""


@dataclass(frozen=True)
class ManifestDiff:
    """The differences from a first data set to a second one."""

    came: tuple[str, ...]
    """Paths in the second."""
    went: tuple[str, ...]
    """Paths in the first."""
    label: tuple[Change, ...]
    split: tuple[Change, ...]
    """Empty if one of the two has no splits."""

    def __bool__(self) -> bool:
        return bool(self.came or self.went or self.label or self.split)


def compare_manifests(first: Manifest, second: Manifest) -> ManifestDiff:
    """Return what came, went, or has another label or split, by the SHA-256 of the images."""
    before, after = _by_content(first), _by_content(second)
    came, went = list[str](), list[str]()
    for content in before.keys() | after.keys():
        old, new = before.get(content, []), after.get(content, [])
        came += [row["path"] for row in new[len(old) :]]
        went += [row["path"] for row in old[len(new) :]]
    has_splits = all((one.split != "").any() for one in (first, second))
    shared = [(before[one], after[one]) for one in after if one in before]
    return ManifestDiff(
        tuple(sorted(came)),
        tuple(sorted(went)),
        _changes(shared, "label"),
        _changes(shared, "split") if has_splits else (),
    )


_Rows = list[dict[str, str]]


def _by_content(manifest: Manifest) -> defaultdict[str, _Rows]:
    rows: defaultdict[str, _Rows] = defaultdict(list)
    for row in manifest.table.select(["path", "label", "split", "sha256"]).to_pylist():
        rows[row["sha256"]].append(row)
    return rows


def _changes(shared: list[tuple[_Rows, _Rows]], name: str) -> tuple[Change, ...]:
    found = []
    for old, new in shared:
        before, after = (sorted({row[name] for row in rows}) for rows in (old, new))
        if before != after:
            found.append(Change(new[0]["path"], ", ".join(before), ", ".join(after)))
    return tuple(sorted(found, key=lambda one: one.path))
