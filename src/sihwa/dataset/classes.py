"""What the settings make of the classes: left out, merged, compared by name."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sihwa.dataset.config import DatasetConfig
from sihwa.dataset.item import Item, Source, clean_label, normal_label
from sihwa.errors import ConfigError, DatasetError

_UNLABELLED = frozenset(
    ("etc", "misc", "na", "nan", "nolabel", "none", "notlabeled", "notlabelled", "null", "other",
     "others", "temp", "tmp", "todo", "unclassified", "undefined", "unknown", "unlabeled",
     "unlabelled", "unsorted", "기타", "라벨없음", "모름", "미분류", "미정", "미지정",
     "알수없음", "없음")
)  # fmt: skip
"""Names of folders for images that nobody labelled; letters alone, small."""


def settle_classes(source: Source, config: DatasetConfig) -> Source:
    """Return a source without the classes that are left out, and with those that are merged.

    Raises:
        ConfigError: A setting names an unknown class.
        DatasetError: Nothing is left.
    """
    out = match_classes("dataset.leave_out", config.leave_out, source.classes)
    new_name = _merged_names(config.merge, source.classes)
    items = [_renamed(item, new_name) for item in source.items if item.label not in out]
    if not items:
        raise DatasetError(f"dataset.leave_out={list(config.leave_out)} leaves no image")
    notes = list(source.notes)
    if out:
        count = len(source.items) - len(items)
        notes.append(f"dataset.leave_out: {count} images of {', '.join(out)} are left out")
    accepted = {new_name.get(name, name) for name in source.accept_classes}
    defects = {new_name.get(n, n) for n in source.classes if n not in source.accept_classes}
    classes = tuple(
        dict.fromkeys(new_name.get(name, name) for name in source.classes if name not in out)
    )
    return replace(
        source,
        items=items,
        classes=classes,
        accept_classes=tuple(name for name in classes if name in accepted - defects),
        notes=(*notes, *_unlabelled_notes(items)),
    )


def require_distinct_names(items: Sequence[Item]) -> None:
    """Refuse classes whose names differ only in case, width or spaces."""
    count = Counter(item.label for item in items)
    alike: dict[str, list[str]] = defaultdict(list)
    for name, _ in sorted(count.items(), key=lambda one: (-one[1], one[0])):
        alike[" ".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    several = [names for names in alike.values() if len(names) > 1]
    if several:
        listed = "; ".join(
            " and ".join(f"{name!r} ({count[name]} images)" for name in names) for names in several
        )
        merge = ", ".join(
            f"{_quoted(name)}: [{', '.join(map(_quoted, others))}]" for name, *others in several
        )
        raise DatasetError(
            f"classes whose names differ only in case, width or spaces: {listed}; rename them, or "
            f'make them one with "dataset.merge={{{merge}}}"'
        )


def match_classes(setting: str, given: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a setting names, in any Unicode form.

    A class whose own name holds commas is found, too, though the setting was cut there.

    Raises:
        ConfigError: There is no such class.

    >>> match_classes("x", ["deep", "wide crack", "good"], ["good", "deep, wide crack"])
    ('deep, wide crack', 'good')
    """
    rest = [normal_label(name) for name in given]
    found = []
    while rest:
        joined = {
            mark.join(rest[:count]): count
            for count in range(len(rest), 0, -1)
            for mark in (", ", ",")
        }
        name = next((one for one in reversed(joined) if one in classes), None)
        if name is None:
            raise ConfigError(f"{setting}: no class {rest[0]!r}; classes: {', '.join(classes)}")
        found.append(name)
        rest = rest[joined[name] :]
    return tuple(found)


def _merged_names(merge: Mapping[str, Sequence[str]], classes: Sequence[str]) -> dict[str, str]:
    """Return the new name of each class that is merged."""
    new_name: dict[str, str] = {}
    for name, members in merge.items():
        whole = clean_label(name, "dataset.merge")
        for member in match_classes(f"dataset.merge of {whole}", members, classes):
            if new_name.setdefault(member, whole) != whole:
                raise ConfigError(
                    f"dataset.merge: {member!r} becomes {new_name[member]!r} and {whole!r}; name "
                    "it once"
                )
    return new_name


def _renamed(item: Item, new_name: Mapping[str, str]) -> Item:
    if not new_name:
        return item
    boxes = item.boxes
    if boxes:
        boxes = tuple(box._replace(label=new_name.get(box.label, box.label)) for box in boxes)
    return replace(item, label=new_name.get(item.label, item.label), boxes=boxes)


def _unlabelled_notes(items: Sequence[Item]) -> list[str]:
    count = Counter(item.label for item in items)
    return [
        f"{number} images are of the class {name!r}; if these are images that nobody labelled, "
        f'leave them out: "dataset.leave_out=[{_quoted(name)}]"'
        for name, number in sorted(count.items())
        if "".join(filter(str.isalnum, name.casefold())) in _UNLABELLED
    ]


def _quoted(name: str) -> str:
    """Return a name as it can be written in a list of settings."""
    return f"'{name}'" if set(name) & set(",{}[]\"'") else name
