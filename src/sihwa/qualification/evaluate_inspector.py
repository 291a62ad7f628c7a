"""The figures of a finished inspector on labelled images, against its training and another one.

Axes: N images.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sihwa.errors import ConfigError, DatasetError
from sihwa.evaluation import (
    Evaluation,
    EvaluationConfig,
    Rates,
    Truth,
    evaluate,
    group_index,
    measure_decisions,
)
from sihwa.inspector import Card, load_inspector, read_bundle
from sihwa.qualification.answers import Answers, answers_of_scores, inspect_labelled
from sihwa.qualification.labelled import Labelled, LabelSource, read_labelled
from sihwa.qualification.paired import Judged, PairedVerdict, compare_judged
from sihwa.qualification.then_and_now import Change, compare_with_training
from sihwa.scoring import BATCH_SIZE, ReadOptions

_READ = ReadOptions(pages="error")  # a label is of one image, so a file with several pages has none


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What labelled images say of a finished inspector."""

    card: Card
    answers: Answers
    evaluation: Evaluation
    changes: list[Change]
    """Against the training run; figures that its card does not state are left out."""
    paired: list[PairedVerdict]
    """Against another inspector; empty if none was named."""
    notes: list[str]
    """What a user should know, each one sentence."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "inspector": self.card.id,
            "thresholds": self.card.thresholds_id,
            "images": len(self.answers.outcome),
            "unreadable": dict(sorted(self.answers.faults.items())),
            "notes": self.notes,
            **self.evaluation.as_dict(),
            "against_training": [one.as_dict() for one in self.changes],
            "against_other": [one.as_dict() for one in self.paired],
        }


def evaluate_inspector(
    inspector: Path,
    source: LabelSource,
    *,
    against: Path | None = None,
    read: ReadOptions = _READ,
    config: EvaluationConfig | None = None,
) -> Evaluated:
    """Measure a finished inspector on labelled images.

    An image that cannot be read is in review, and has no part in the figures of the top class.

    Args:
        inspector: The inspector folder, or its .onnx file.
        source: Labelled images, or a score table that somebody has labelled.
        against: Another inspector for the same images.
        read: How images are read; of several pages must be an error.
        config: Confidence of the intervals, and resamples; the defaults if None.

    Raises:
        DatasetError: There is no labelled image, or a label is unknown to the inspector.
        ConfigError: The other inspector cannot be compared.
        InvalidInspector: An inspector is damaged.
    """
    labelled = read_labelled(source)
    if against is not None and labelled.scores is not None:
        raise ConfigError(
            "--against needs the images: a score table holds what one inspector said. Name a "
            "folder or a table of images"
        )
    card, answers = _answers(inspector, labelled, read)
    evaluation = measure(answers, config)
    changes = compare_with_training(evaluation, card.metrics)
    paired = []
    if against is not None:
        other_card, other = _answers(against, labelled, read)
        _require_same_accept_classes(card, other_card)
        paired = compare_judged(_judged(answers), _judged(other), answers.group)
    notes = [*labelled.notes, *answers.notes]
    if not card.metrics.get("decisions"):
        notes.append(
            "the card states no figures of decisions, as after sihwa decide has moved the "
            "thresholds, so only the accuracy is compared with the training run"
        )
    return Evaluated(card, answers, evaluation, changes, paired, notes)


def measure(answers: Answers, config: EvaluationConfig | None = None) -> Evaluation:
    """Return the figures of N images; those of the top class leave out images that have none."""
    seen = answers.has_top
    if not seen.any():
        first = next(iter(answers.faults.items()), ("", "the network gave NaN"))
        raise DatasetError(f"no image could be inspected; {first[0]}: {first[1]}")
    config = config or EvaluationConfig()
    found = evaluate(
        answers.probability[seen],
        Truth(
            answers.label[seen],
            answers.classes,
            answers.accept_classes,
            np.array(answers.group)[seen].tolist(),
        ),
        outcome=answers.outcome[seen].tolist(),
        config=config,
    )
    if seen.all():
        return found
    number = group_index(answers.group)
    return replace(
        found,
        decisions=measure_decisions(
            answers.outcome.tolist(),
            answers.label,
            answers.is_good,
            answers.probability.argmax(1),  # of no account in review
            Rates(number if len(np.unique(number)) < len(number) else None, config.confidence),
            len(answers.classes),
        ),
    )


def _answers(path: Path, labelled: Labelled, read: ReadOptions) -> tuple[Card, Answers]:
    if labelled.scores is not None:
        card = read_bundle(path).card
        return card, answers_of_scores(card, labelled)
    inspector = load_inspector(path, threads=1, batch_size=BATCH_SIZE)
    return inspector.card, inspect_labelled(inspector, labelled, read, BATCH_SIZE)


def _judged(answers: Answers) -> Judged:
    return Judged(answers.outcome, answers.is_wrong, answers.is_good)


def _require_same_accept_classes(one: Card, other: Card) -> None:
    """Refuse two inspectors that do not mean the same by an escape."""
    mine, its = sorted(one.accept_classes), sorted(other.accept_classes)
    if mine != its:
        raise ConfigError(
            f"--against: the inspectors accept different classes, {', '.join(mine) or 'none'} and "
            f"{', '.join(its) or 'none'}, so their escapes cannot be compared"
        )
