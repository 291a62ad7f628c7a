"""The report's page: figures turned into text and geometry for the template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sihwa.inspector import evidence_overlay
from sihwa.reporting.drawings import Axis, line_points
from sihwa.reporting.figure_rows import (
    FigureRow,
    figure_row,
    figure_rows,
    percent,
    percent_bound,
    percent_interval,
)
from sihwa.reporting.image_uri import image_uri
from sihwa.reporting.report import ErrorImage, Report
from sihwa.reporting.similarity_text import proposed_setting, similarity_sentences
from sihwa.reporting.template import render_template
from sihwa.reporting.wording import WORDS
from sihwa.storage import write_text

if TYPE_CHECKING:
    from sihwa.evaluation import Evaluation, Figure, PartFigures

_PLOT_SIDE = 200  # of the reliability diagram, in its own units
_LARGEST_RADIUS = 13
_CURVE_WIDTH, _CURVE_HEIGHT = 200, 100
_MOST_FINDINGS = 8
_LIMITS = (
    "All of this holds for images like the test images: the same camera, light, parts and kinds of "
    "defect. It says nothing about a defect of no class in this list, nor about the line after a "
    "change. The labels are taken as the truth, their mistakes included."
)


def write_report(path: Path, report: Report) -> None:
    """Write the report as one HTML page that needs no other file and no network.

    Raises:
        StorageError: The file system refused.
        ShapeError: An image or its evidence has the wrong shape.
    """
    write_text(path, render(report))


def render(report: Report) -> str:
    """Return the page as HTML text."""
    evaluation = report.evaluation
    similarity = similarity_sentences(report.similarity)
    if setting := proposed_setting(report.similarity):
        similarity.append(setting)
    conclusions = [*report.claims, *_conclusions(evaluation)]
    # a warning comes before what it puts in doubt
    conclusions = similarity + conclusions if report.similarity.warns else conclusions + similarity
    return render_template(
        "sihwa.reporting",
        "report.html.j2",
        title=report.title,
        words=WORDS,
        subtitle=f"{evaluation.count} test images, {len(evaluation.classes)} classes",
        interval_name=f"{_confidence(evaluation)} interval",
        headline=_headline(evaluation),
        conclusions=[*map(_unbroken, conclusions), _LIMITS],
        figures=figure_rows(evaluation),
        classes=_classes(evaluation),
        decided=_decided(evaluation),
        confusion=_confusion(evaluation),
        circles=_circles(evaluation),
        side=_PLOT_SIDE,
        findings=report.findings[:_MOST_FINDINGS],
        more_findings=max(0, len(report.findings) - _MOST_FINDINGS),
        errors_text=_errors_text(report),
        errors=[_error(one) for one in report.errors],
        splits=_splits(report),
        robustness=_robustness(report),
        curves=_curves(report.curves),
        facts=report.facts,
    )


def _confidence(evaluation: "Evaluation") -> str:
    return f"{evaluation.accuracy.confidence * 100:g} %"


def _headline(evaluation: "Evaluation") -> list[FigureRow]:
    """Return the figures at the top: escapes, overkill and review, if they are measured."""
    accuracy, decisions = figure_row("accuracy", evaluation.accuracy), evaluation.decisions
    if decisions and decisions.escapes:
        return figure_rows(evaluation)[:3]
    balanced = figure_row("balanced_accuracy", evaluation.balanced_accuracy)
    name, figure = min(_recalls(evaluation), key=lambda one: (one[1].value, one[1].low))
    weakest = replace(figure_row("weakest_recall", figure), note=name, method="")
    return [accuracy, balanced, weakest]


def _recalls(evaluation: "Evaluation") -> "list[tuple[str, Figure]]":
    """Return the classes that have test images, with their recall."""
    named = zip(evaluation.classes, evaluation.recall, strict=True)
    return [(name, figure) for name, figure in named if figure.value is not None]


def _conclusions(evaluation: "Evaluation") -> list[str]:
    """Say what the figures prove of errors, of escapes, and of the rarest class."""
    confidence, bound = _confidence(evaluation), percent_bound(evaluation.error_bound)
    wrong = evaluation.count - (evaluation.accuracy.occurrences or 0)
    errors = (
        f"{wrong} of {evaluation.count} test images got a wrong label. At {confidence} confidence "
        f"the data prove that the true error rate is at most {bound}."
    )
    if not wrong:
        errors = (
            f"None of {evaluation.count} test images got a wrong label. That does not make the "
            f"error rate zero: at {confidence} confidence the data prove that it is at most "
            f"{bound}."
        )
    name, rarest = min(_recalls(evaluation), key=lambda one: one[1].count)
    rarest_class = (
        f"The rarest class in the test is “{name}” with {rarest.count} images. At {confidence} "
        f"confidence its recall lies in {percent_interval(rarest.low, rarest.high)}; only more "
        "images of it narrow that."
    )
    return [errors, *_escape_conclusion(evaluation, confidence), rarest_class]


def _escape_conclusion(evaluation: "Evaluation", confidence: str) -> list[str]:
    decisions = evaluation.decisions
    if decisions is None or decisions.escapes is None:
        return []
    if decisions.escape_bound is None:
        return ["No test image shows a defective part, so nothing is known about escapes."]
    from sihwa.evaluation import (
        images_to_prove,  # imports SciPy, which the page of a benchmark does not need
    )

    what = "images" if evaluation.groups is None else "groups, such as parts,"
    needed = images_to_prove(0.01, decisions.escapes.confidence)
    return [
        f"{decisions.escapes.occurrences} of {decisions.escapes.count} images of defects were "
        f"accepted: at {confidence} confidence at most {percent_bound(decisions.escape_bound)} of "
        f"them escape. {decisions.review.occurrences} of {decisions.review.count} images went to "
        "review. To prove an escape rate of 1 % takes "
        f"{needed} defective {what} without a single escape.",
        *_part_conclusion(decisions.parts, confidence),
    ]


def _part_conclusion(parts: "PartFigures | None", confidence: str) -> list[str]:
    if parts is None or parts.escapes is None or parts.escape_bound is None:
        return []
    return [
        f"{parts.escapes.occurrences} of {parts.escapes.count} defective parts had every image "
        f"accepted: at {confidence} confidence at most {percent_bound(parts.escape_bound)} of them "
        "escape."
    ]


def _unbroken(text: str) -> str:
    """Keep a number and its sign, or both ends of an interval, on one line."""
    return text.replace(" %", "\u00a0%").replace(" – ", "\u00a0–\u00a0")


def _classes(evaluation: "Evaluation") -> list[dict[str, Any]]:
    rows = zip(evaluation.classes, evaluation.recall, evaluation.precision, strict=True)
    return [
        {
            "name": name,
            "accepted": name in evaluation.accept_classes,
            "count": recall.count,
            "recall": figure_row("recall", recall),
            "precision": figure_row("precision", precision),
            "recall_missing": recall.reason,
            "precision_missing": precision.reason,
        }
        for name, recall, precision in rows
    ]


def _decided(evaluation: "Evaluation") -> list[dict[str, Any]]:
    """Return per true class how many images were accepted, rejected and reviewed."""
    if evaluation.decisions is None:
        return []
    return [
        {"name": name, "cells": [figure_row("recall", share) for share in shares]}
        for name, shares in zip(evaluation.classes, evaluation.decisions.shares, strict=True)
    ]


def _confusion(evaluation: "Evaluation") -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "cells": [
                {"count": count, "right": column == row, "tint": _tint(count, sum(counts))}
                for column, count in enumerate(counts)
            ],
        }
        for row, (name, counts) in enumerate(
            zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)
        )
    ]


def _tint(count: int, row_sum: int) -> int:
    """Return the colour's strength in percent; root and floor make a single error visible."""
    return round(30 + 70 * math.sqrt(count / row_sum)) if count else 0


def _circles(evaluation: "Evaluation") -> list[dict[str, Any]]:
    largest = max(one.count for one in evaluation.reliability)
    x, y = Axis(0, 1, _PLOT_SIDE), Axis(0, 1, _PLOT_SIDE, upward=True)
    return [
        {
            "x": x.place(one.confidence),
            "y": y.place(one.accuracy),
            "radius": round(max(2.0, _LARGEST_RADIUS * math.sqrt(one.count / largest)), 1),
            "label": f"{percent(one.confidence)} → {percent(one.accuracy)} ({one.count})",
        }
        for one in evaluation.reliability
    ]


def _errors_text(report: Report) -> str:
    if not report.errors:
        return "No test image got a wrong label."
    total = report.evaluation.count - (report.evaluation.accuracy.occurrences or 0)
    return (
        f"{len(report.errors)} of {total} wrong images, the most confident first. The overlay "
        "shows where the evidence for the predicted class lies, not why. A mistake in the labels "
        "looks like an error here: judge the image first."
    )


def _error(error: ErrorImage) -> dict[str, Any]:
    return {
        "image": image_uri(error.image),
        "overlay": image_uri(evidence_overlay(error.image, error.evidence)),
        "path": error.path,
        "true_class": error.true_class,
        "predicted_class": error.predicted_class,
        "probability": f"{error.probability * 100:.1f} %",
    }


def _robustness(report: Report) -> dict[str, Any] | None:
    if not report.robustness:
        return None
    clean = figure_row("accuracy", report.evaluation.accuracy)
    rows = [
        (
            WORDS[f"corruption_{kind}"],
            [clean, *(figure_row("accuracy", figure) for figure in figures)],
        )
        for kind, figures in report.robustness.items()
    ]
    return {"strengths": range(1, max(map(len, report.robustness.values())) + 1), "rows": rows}


def _splits(report: Report) -> dict[str, Any]:
    columns = list(report.split_counts.values())
    rows = [(name, [column[name] for column in columns]) for name in report.evaluation.classes]
    totals = [sum(column.values()) for column in columns]
    return {
        "names": list(report.split_counts),
        "rows": [(name, counts, sum(counts)) for name, counts in rows],
        "totals": totals,
        "total": sum(totals),
    }


def _curves(curves: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """Return one drawing per curve with a finite value; others are left out of the line."""
    drawings = []
    for name, values in curves.items():
        finite = [(epoch, value) for epoch, value in enumerate(values) if math.isfinite(value)]
        if finite:
            low, high = min(value for _, value in finite), max(value for _, value in finite)
            x = Axis(0, len(values) - 1, _CURVE_WIDTH)
            y = Axis(low, high, _CURVE_HEIGHT, upward=True)
            last_epoch, last = finite[-1]
            drawings.append(
                {
                    "name": name,
                    "points": line_points(finite, x, y),
                    "end": (x.place(last_epoch), y.place(last)),
                    "high": f"{high:.4g}",
                    "low": f"{low:.4g}",
                    "last": f"{last:.4g}",
                    "epochs": len(values),
                }
            )
    return drawings
