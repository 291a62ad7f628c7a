"""The page: every number turned into text and geometry, then the template."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sihwa.inspector import evidence_overlay
from sihwa.reporting.curves import curve_drawings
from sihwa.reporting.figure_rows import FigureRow, figure_row, figure_rows
from sihwa.reporting.numerals import percent, percent_interval
from sihwa.reporting.template import load_template
from sihwa.reporting.thumbnails import image_uri
from sihwa.reporting.wording import ENGLISH

if TYPE_CHECKING:
    from sihwa.evaluation import Evaluation, Figure
    from sihwa.reporting.report import ErrorImage, Report

MOST_ERRORS = 24
# Side of the reliability diagram's plot, in its own units, and of its largest circle.
PLOT_SIDE = 200
LARGEST_RADIUS = 13


def render(report: "Report", wording: Mapping[str, str] = ENGLISH) -> str:
    """Return the page as HTML text, in the language of `wording`."""
    evaluation = report.evaluation
    return load_template("sihwa.reporting", "report.html.j2").render(
        title=report.title,
        words=wording,
        subtitle=wording["subtitle"].format(
            count=evaluation.count, class_count=len(evaluation.classes)
        ),
        interval_name=wording["interval"].format(confidence=_confidence(evaluation)),
        headline=_headline(evaluation, wording),
        proofs=[
            *map(_unbroken, _proofs(evaluation, wording)),
            *report.notes,
            wording["proof_limits"],
        ],
        figures=figure_rows(evaluation, wording),
        classes=_classes(evaluation, wording),
        confusion=_confusion(evaluation),
        circles=_circles(evaluation),
        side=PLOT_SIDE,
        errors_text=_errors_text(report, wording),
        errors=[_error(one) for one in _worst(report.errors)],
        splits=_splits(report),
        robustness=_robustness(report, wording),
        curves=curve_drawings(report.curves),
        facts=report.facts,
    )


def _confidence(evaluation: "Evaluation") -> str:
    return f"{evaluation.accuracy.confidence * 100:g} %"


def _headline(evaluation: "Evaluation", wording: Mapping[str, str]) -> list[FigureRow]:
    first = figure_row("accuracy", evaluation.accuracy, wording)
    if evaluation.escapes and evaluation.overkill:
        escapes = figure_row("escapes", evaluation.escapes, wording)
        return [escapes, figure_row("overkill", evaluation.overkill, wording), first]
    balanced = figure_row("balanced_accuracy", evaluation.balanced_accuracy, wording)
    name, weakest = _weakest(evaluation)
    row = figure_row("weakest_recall", weakest, wording)
    return [first, balanced, FigureRow(row.name, name, row.value, row.interval, row.share, "")]


def _weakest(evaluation: "Evaluation") -> "tuple[str, Figure]":
    named = zip(evaluation.classes, evaluation.recall, strict=True)
    return min(
        ((name, figure) for name, figure in named if figure.value is not None),
        key=lambda one: (one[1].value, one[1].low),
    )


def _proofs(evaluation: "Evaluation", wording: Mapping[str, str]) -> list[str]:
    confidence = _confidence(evaluation)
    wrong = evaluation.count - (evaluation.accuracy.occurrences or 0)
    overall = wording["proof_errors" if wrong else "proof_no_error"].format(
        errors=wrong,
        count=evaluation.count,
        confidence=confidence,
        bound=_bound(evaluation.error_bound),
    )
    return [overall, *_escape_proof(evaluation, wording), _rarest_proof(evaluation, wording)]


def _unbroken(sentence: str) -> str:
    # A number torn from its sign, or an interval in two, is hard to read.
    return sentence.replace(" %", "\u00a0%").replace(" – ", "\u00a0–\u00a0")


def _escape_proof(evaluation: "Evaluation", wording: Mapping[str, str]) -> list[str]:
    escapes = evaluation.escapes
    if escapes is None:
        return []
    if evaluation.escape_bound is None:
        return [wording["proof_no_defect"]]
    sentence = wording["proof_escapes"].format(
        escapes=escapes.occurrences,
        count=escapes.count,
        confidence=_confidence(evaluation),
        bound=_bound(evaluation.escape_bound),
        needed=math.ceil(math.log(1 - escapes.confidence) / math.log(1 - 0.01)),
    )
    return [sentence]


def _rarest_proof(evaluation: "Evaluation", wording: Mapping[str, str]) -> str:
    named = zip(evaluation.classes, evaluation.recall, strict=True)
    seen = [one for one in named if one[1].value is not None]
    name, figure = min(seen, key=lambda one: one[1].count)
    interval = percent_interval(figure.low, figure.high)
    return wording["proof_rarest"].format(
        name=name, count=figure.count, confidence=_confidence(evaluation), interval=interval
    )


def _bound(bound: float) -> str:
    # Rounded up: a bound may not be stated smaller than it is.
    return f"{math.ceil(round(bound * 1e4, 6)) / 100:.2f} %"


def _classes(evaluation: "Evaluation", wording: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = zip(evaluation.classes, evaluation.recall, evaluation.precision, strict=True)
    return [
        {
            "name": name,
            "accepted": name in evaluation.accept_classes,
            "count": recall.count,
            "recall": figure_row("recall", recall, wording),
            "precision": figure_row("precision", precision, wording),
            "recall_missing": wording["no_image"] if recall.value is None else "",
            "precision_missing": wording["never_predicted"] if precision.value is None else "",
        }
        for name, recall, precision in rows
    ]


def _confusion(evaluation: "Evaluation") -> list[dict[str, Any]]:
    rows = zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)
    return [
        {
            "name": name,
            "cells": [
                {
                    "count": count,
                    "right": column == number,
                    "tint": _tint(count, sum(counts)),
                }
                for column, count in enumerate(counts)
            ],
        }
        for number, (name, counts) in enumerate(rows)
    ]


def _tint(count: int, row_sum: int) -> int:
    if count == 0:
        return 0
    # The root and the floor lift a single error out of the background.
    return round(30 + 70 * math.sqrt(count / row_sum))


def _circles(evaluation: "Evaluation") -> list[dict[str, Any]]:
    largest = max(one.count for one in evaluation.reliability)
    return [
        {
            "x": round(PLOT_SIDE * one.confidence, 2),
            "y": round(PLOT_SIDE * (1 - one.accuracy), 2),
            "radius": round(max(2.0, LARGEST_RADIUS * math.sqrt(one.count / largest)), 2),
            "label": f"{percent(one.confidence)} → {percent(one.accuracy)} ({one.count})",
        }
        for one in evaluation.reliability
    ]


def _worst(errors: "Sequence[ErrorImage]") -> "list[ErrorImage]":
    return sorted(errors, key=lambda one: (-one.probability, one.path))[:MOST_ERRORS]


def _error(error: "ErrorImage") -> dict[str, Any]:
    overlay = None
    if error.evidence is not None:
        overlay = image_uri(evidence_overlay(error.image, error.evidence))
    return {
        "image": image_uri(error.image),
        "overlay": overlay,
        "path": error.path,
        "true_class": error.true_class,
        "predicted_class": error.predicted_class,
        "probability": f"{error.probability * 100:.1f} %",
    }


def _errors_text(report: "Report", wording: Mapping[str, str]) -> str:
    total = report.evaluation.count - (report.evaluation.accuracy.occurrences or 0)
    if not report.errors:
        return wording["errors_missing" if total else "errors_none"].format(total=total)
    mapped = any(one.evidence is not None for one in report.errors)
    key = "errors_note" if mapped else "errors_note_plain"
    return wording[key].format(shown=min(len(report.errors), MOST_ERRORS), total=total)


def _robustness(report: "Report", wording: Mapping[str, str]) -> dict[str, Any] | None:
    if not report.robustness:
        return None
    strengths = max(map(len, report.robustness.values()))
    return {
        "strengths": range(1, strengths + 1),
        "clean": figure_row("accuracy", report.evaluation.accuracy, wording),
        "rows": [
            (
                wording.get(f"corruption_{kind}", kind),
                [figure_row("accuracy", figure, wording) for figure in figures],
            )
            for kind, figures in report.robustness.items()
        ],
    }


def _splits(report: "Report") -> dict[str, Any] | None:
    if not report.split_counts:
        return None
    columns = report.split_counts.values()
    known = list(report.evaluation.classes)
    names = known + sorted({name for one in columns for name in one} - set(known))
    rows = [(name, [column.get(name, 0) for column in columns]) for name in names]
    return {
        "names": list(report.split_counts),
        "rows": [(name, counts, sum(counts)) for name, counts in rows],
        "totals": [sum(column.values()) for column in columns],
        "total": sum(sum(column.values()) for column in columns),
    }
