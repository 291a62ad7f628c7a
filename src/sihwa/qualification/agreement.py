"""The figures of an agreement study, and the limits of the AIAG manual.

Axes: P parts, T trials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sihwa.decision import ACCEPT, REJECT, REVIEW, Outcome
from sihwa.errors import DatasetError
from sihwa.evaluation import Figure
from sihwa.evaluation.arrays import Int64
from sihwa.evaluation.grouped import design_effect
from sihwa.evaluation.kappa import cohens_kappa, fleiss_kappa
from sihwa.evaluation.rates import Rates
from sihwa.qualification.aiag_limits import Graded, grade, worst_grade
from sihwa.qualification.study_table import Ratings
from sihwa.terminal.names import counted

_CODES: tuple[Outcome, ...] = (ACCEPT, REJECT, REVIEW)
_ACCEPT, _REJECT, _REVIEW = range(3)
_USUAL = (50, 3, 3)
"""Parts, appraisers and trials of the manual's example; smaller studies prove little."""


@dataclass(frozen=True, kw_only=True)
class AppraiserFigures:
    """How one appraiser decided."""

    name: str
    trials: int
    within: Figure
    """Share of parts on which all trials agree."""
    effectiveness: Figure
    """Share of parts on which all trials agree with the reference."""
    miss_rate: Figure
    """Share of the decisions about bad parts that called them good."""
    false_alarm_rate: Figure
    """Share of the decisions about good parts that called them bad."""
    review: Figure
    """Share of all decisions that sent the part to review."""
    kappa: Figure
    """Cohen's kappa of decisions and reference; review is a category of its own."""
    limits: tuple[Graded, ...]
    verdict: str
    """The worst grade of the limits."""


@dataclass(frozen=True, kw_only=True)
class PairKappa:
    """Agreement of two appraisers."""

    one: str
    other: str
    kappa: Figure


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The figures of a study."""

    parts: int
    bad_parts: int
    appraisers: tuple[AppraiserFigures, ...]
    pairs: tuple[PairKappa, ...]
    all_agree: Figure | None
    """Share of parts on which all decisions of all appraisers agree; None for one appraiser."""
    fleiss_kappa: Figure | None
    """Of all decisions; None for one decision a part."""
    notes: tuple[str, ...]


def measure_agreement(
    study: Ratings, confidence: float = 0.95, *, review_as_reject: bool = False
) -> Agreement:
    """Measure how appraisers agree with themselves, the reference and each other.

    Trials of one part are no independent evidence: intervals count parts.

    Args:
        study: The decisions. An appraiser decides every part in each of the trials.
        confidence: Of the intervals, in (0, 1).
        review_as_reject: Count a review as a reject; else it is a decision of its own, which is
            neither right nor a miss nor a false alarm.

    Raises:
        DatasetError: There is no decision, or an appraiser left out a part in a trial.

    Source: AIAG, Measurement Systems Analysis, 4th edition, chapter III, section C.
    """
    names = list(study.reference)
    truth = np.array([_CODES.index(study.reference[part]) for part in names])
    tables = _decisions(study)
    if review_as_reject:
        tables = {who: np.where(one == _REVIEW, _REJECT, one) for who, one in tables.items()}
    figures = [_appraiser(who, one, truth, confidence) for who, one in tables.items()]
    together = np.concatenate(list(tables.values()), axis=1)
    several = Rates(None, confidence).figure
    every = np.ones(len(truth), bool)
    return Agreement(
        parts=len(truth),
        bad_parts=int((truth == _REJECT).sum()),
        appraisers=tuple(figures),
        pairs=tuple(
            PairKappa(one=a, other=b, kappa=_pair(tables[a], tables[b], confidence))
            for a, b in combinations(tables, 2)
        ),
        all_agree=several(_same(together), every, "no part") if len(tables) > 1 else None,
        fleiss_kappa=fleiss_kappa(_counts(together), confidence) if together.shape[1] > 1 else None,
        notes=(*study.notes, *_notes(figures, truth)),
    )


def _decisions(study: Ratings) -> dict[str, Int64]:
    """Return the decisions of each appraiser, (P, T), as codes."""
    given: dict[str, dict[tuple[str, str], int]] = {}
    for one in study.ratings:
        own = given.setdefault(one.appraiser, {})
        own[one.part, one.trial] = _CODES.index(one.decision)
    if not given:
        raise DatasetError(
            "the study holds no decision: expected columns appraiser and decision, or one for each "
            "trial such as A-1, or --scores with the decisions of an inspector"
        )
    return {who: _table(who, own, list(study.reference)) for who, own in given.items()}


def _table(who: str, own: Mapping[tuple[str, str], int], parts: Sequence[str]) -> Int64:
    trials = sorted({trial for _, trial in own}, key=lambda name: (len(name), name))
    for part in parts:
        for trial in trials:
            if (part, trial) not in own:
                raise DatasetError(
                    f"{who} has no decision about part {part} in trial {trial}; each appraiser "
                    "decides every part in each of the trials. Add it, or leave out the part"
                )
    return np.array([[own[part, trial] for trial in trials] for part in parts])


def _appraiser(who: str, decision: Int64, truth: Int64, confidence: float) -> AppraiserFigures:
    trials = decision.shape[1]
    over_parts = Rates(None, confidence).figure
    every = np.ones(len(truth), bool)
    right = (decision == truth[:, None]).all(1)
    part = np.repeat(np.arange(len(truth)), trials)
    rate = Rates(part if trials > 1 else None, confidence).figure
    given, true = decision.ravel(), np.repeat(truth, trials)
    measured = {
        "effectiveness": over_parts(right, every, "no part"),
        "miss_rate": rate(given == _ACCEPT, true == _REJECT, "no bad part"),
        "false_alarm_rate": rate(given == _REJECT, true == _ACCEPT, "no good part"),
        "kappa": _kappa(given, true, part, confidence),
    }
    limits = tuple(grade(name, figure) for name, figure in measured.items())
    return AppraiserFigures(
        name=who,
        trials=trials,
        within=over_parts(_same(decision), every & (trials > 1), "one trial alone"),
        review=rate(given == _REVIEW, np.ones(len(given), bool), "no decision"),
        limits=limits,
        verdict=worst_grade(limits),
        **measured,
    )


def _pair(one: Int64, other: Int64, confidence: float) -> Figure:
    """Return kappa of two appraisers, trial by trial as far as both have them."""
    trials = min(one.shape[1], other.shape[1])
    part = np.repeat(np.arange(len(one)), trials)
    return _kappa(one[:, :trials].ravel(), other[:, :trials].ravel(), part, confidence)


def _kappa(one: Int64, other: Int64, part: Int64, confidence: float) -> Figure:
    table = np.zeros((len(_CODES), len(_CODES)), np.int64)
    np.add.at(table, (one, other), 1)
    return cohens_kappa(table, confidence, design_effect(one == other, part))


def _same(decision: Int64) -> NDArray[np.bool_]:
    return np.asarray((decision == decision[:, :1]).all(1))


def _counts(decision: Int64) -> Int64:
    """Return how often each part got each decision, (P, 3)."""
    return np.stack([(decision == code).sum(1) for code in range(len(_CODES))], axis=1)


def _notes(figures: Sequence[AppraiserFigures], truth: Int64) -> list[str]:
    size = len(truth), len(figures), min(one.trials for one in figures)
    notes = []
    if any(have < usual for have, usual in zip(size, _USUAL, strict=True)):
        notes.append(
            f"{counted(size[0], 'part')}, {counted(size[1], 'appraiser')} and "
            f"{counted(size[2], 'trial')} are fewer than the 50, 3 and 3 of the AIAG manual's "
            "example; look at the intervals"
        )
    if not 0 < (truth == _REJECT).sum() < len(truth):
        notes.append("all parts have one reference: take good and bad ones, and close calls")
    return notes
