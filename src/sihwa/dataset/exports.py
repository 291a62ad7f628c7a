"""Exports of labelling programs: those that can be read as they are, and those that are refused.

Roboflow       folders train, valid, test: an image folder; _classes.csv: a table
CVAT           ImageNet 1.0, a folder per label: an image folder
Label Studio   CSV and JSON-MIN of one choice per image: a table
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sihwa.errors import DatasetError
from sihwa.images import Listing

_FOLDERS_ADVICE = "export it again with one folder per class"
_REFUSED = {
    "_classes.csv": "Roboflow's export with a table per split; train with dataset=manifest "
    "dataset.path=FOLDER/_classes.csv, or export it as 'Folder Structure'",
    "_annotations.coco.json": f"a COCO export; {_FOLDERS_ADVICE}",
    "annotations.xml": f"CVAT's own XML; export it as 'ImageNet 1.0', {_FOLDERS_ADVICE[16:]}",
    "synsets.txt": "an ImageNet list with label numbers; export it with images, "
    f"{_FOLDERS_ADVICE[16:]}",
    "data.yaml": f"a YOLO export; {_FOLDERS_ADVICE}",
}
"""What each file shows an export to be that has no folder per class."""
_LABEL_STUDIO = frozenset(
    ("agreement", "annotation_id", "annotator", "created_at", "id", "image", "lead_time",
     "updated_at")
)  # fmt: skip
_LOCAL_FILE, _UPLOAD = "/data/local-files/?d=", "/data/upload/"

Cells = dict[str, str]
SEVERAL = "\0"
"""In place of the label of a row that has none, or several."""


def name_export(listing: Listing) -> str | None:
    """Return what export a folder is that has no folder per class, and what to do; else None."""
    for path in listing.other_files:
        parts = re.split(r"[/\\]", path)
        if parts[-1] in _REFUSED:
            return f"this is {_REFUSED[parts[-1]]}"
        if parts[-1].endswith(".json") and parts[-2:-1] == ["annotations"]:
            return f"this is a Datumaro or COCO export, as of Geti and CVAT; {_FOLDERS_ADVICE}"
    return None


def as_table(names: Sequence[str], rows: Sequence[Cells]) -> list[Cells]:
    """Return the rows of an export with the columns path and label; other rows as they are."""
    if "path" in names:
        return list(rows)
    if "image" in names and "annotator" in names:  # whose choice may be named label
        return [_from_label_studio(row) for row in rows]
    if "label" in names:
        return list(rows)
    first = names[0] if names else ""
    others = [name for name in names if name != first]
    flags = [row[name].strip() for row in rows for name in others]
    if first == "filename" and flags and set(flags) <= {"0", "1"}:
        return [{"path": row[first], "label": _marked(row, others)} for row in rows]
    return list(rows)


def read_json(path: Path, text: str) -> list[Cells]:
    """Return the rows of a JSON-MIN export of Label Studio.

    Raises:
        DatasetError: It is another JSON.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a readable JSON: {error}") from error
    if not (
        isinstance(content, list)
        and content
        and all(isinstance(one, dict) and "image" in one and "data" not in one for one in content)
    ):
        raise DatasetError(
            f"{path}: of JSON, only Label Studio's JSON-MIN is read; export the labels as CSV or "
            "JSON-MIN, or with one folder per class"
        )
    return [{name: _as_cell(value) for name, value in one.items()} for one in content]


def _as_cell(value: Any) -> str:  # noqa: ANN401 -- whatever JSON holds
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _from_label_studio(row: Mapping[str, str]) -> Cells:
    choices = [name for name in row if name not in _LABEL_STUDIO and name != "choice"]
    label = row.get("choice", row[choices[0]] if len(choices) == 1 else "")
    path = row["image"]
    if path.startswith(_LOCAL_FILE):
        path = unquote(path.removeprefix(_LOCAL_FILE))
    elif path.startswith(_UPLOAD):
        path = unquote(path.removeprefix(_UPLOAD))
    return {"path": path, "label": _only_choice(label)}


def _only_choice(text: str) -> str:
    """Return the choice; `SEVERAL` for more than one, which Label Studio writes as JSON."""
    if text.startswith("{") or text.startswith("["):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return text
        found = content.get("choices") if isinstance(content, dict) else content
        if isinstance(found, list):
            return str(found[0]) if len(found) == 1 else SEVERAL
    return text


def _marked(row: Mapping[str, str], classes: Sequence[str]) -> str:
    """Return the only class whose cell is 1; `SEVERAL` if that is not exactly one."""
    found = [name for name in classes if row[name].strip() == "1"]
    return found[0] if len(found) == 1 else SEVERAL
