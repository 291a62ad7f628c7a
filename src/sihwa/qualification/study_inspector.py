"""An inspector as one more appraiser of an agreement study, from the rows of its score table."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from sihwa.decision import ACCEPT, REJECT, REVIEW, Outcome
from sihwa.errors import DatasetError
from sihwa.qualification.study_table import Rating, Ratings
from sihwa.scoring.path_pattern import PathPattern
from sihwa.terminal.names import counted

COLUMNS = ("path", "decision", "inspector")
_SEVERITY: tuple[Outcome, ...] = (ACCEPT, REVIEW, REJECT)


def add_inspector(
    study: Ratings,
    rows: Iterable[Mapping[str, object]],
    part: PathPattern,
    trial: PathPattern | None,
    source: Path,
) -> Ratings:
    """Return a study with the decisions of an inspector added.

    Several images of one part in one trial give one decision: reject if one of them is rejected,
    else review if one is reviewed.

    Args:
        study: The study, which knows the parts.
        rows: Rows of a score table with the columns `COLUMNS`.
        part: Finds the part in a path.
        trial: Finds the trial in a path; None is one trial.
        source: The table, for messages.

    Raises:
        DatasetError: A path does not match, no part is of the study, or there are two inspectors.
    """
    worst: dict[tuple[str, str], int] = {}
    inspectors: set[str] = set()
    others = 0
    for row in rows:
        path, decision = str(row["path"]), row["decision"]
        name = part(path)
        if name not in study.reference:
            others += 1
            continue
        key = name, trial(path) if trial else "1"
        severity = [str(one) for one in _SEVERITY].index(str(decision))
        worst[key] = max(severity, worst.get(key, 0))
        inspectors.add(str(row["inspector"]))
    if not worst:
        raise DatasetError(
            f"{source}: none of its {counted(others, 'image')} shows a part of the study; --part "
            "must find a part as the study names it"
        )
    if len(inspectors) > 1:
        named = ", ".join(sorted(inspectors)[:5])
        raise DatasetError(f"{source}: expected rows of one inspector, got {named}")
    appraiser = f"inspector {inspectors.pop()}"
    ratings = [
        Rating(name, appraiser, number, _SEVERITY[severity])
        for (name, number), severity in worst.items()
    ]
    note = f"left out {counted(others, 'image')} of parts that the study does not know"
    notes = [*study.notes, *([note] if others else [])]
    return Ratings([*study.ratings, *ratings], study.reference, notes)
