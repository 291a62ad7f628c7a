"""`evaluate_inspector`: figures of all images, against the training run and another inspector."""

import json
from pathlib import Path

import numpy as np
import pytest

from sihwa.errors import ConfigError, DatasetError
from sihwa.inspector import Bundle, Card, write_bundle
from sihwa.qualification.answers import Answers
from sihwa.qualification.evaluate_inspector import evaluate_inspector, measure
from sihwa.qualification.labelled import LabelSource
from tests.helpers import CLASSES, changed, random_images, save_images


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for seed, name in enumerate(CLASSES):
        save_images(tmp_path / "parts" / name, random_images(4, 60, 50, seed))
    return tmp_path / "parts"


def answers(outcome: str, has_top: str, label: str) -> Answers:
    """Each letter is an image: a, r or v for its outcome; 1 for a top class; its class."""
    true = np.array([int(one) for one in label])
    probability = np.where(
        np.array([one == "1" for one in has_top])[:, None], np.eye(3)[true], np.nan
    )
    named = {"a": "accept", "r": "reject", "v": "review"}
    return Answers(
        classes=CLASSES,
        accept_classes=("good",),
        label=true,
        probability=probability.astype(np.float32),
        outcome=np.array([named[one] for one in outcome]),
        group=[str(row) for row in range(len(label))],
        faults={},
    )


def test_measure_unreadable_images_are_in_review_and_have_no_top_class() -> None:
    found = measure(answers("aarrvv", "111100", "001212"))
    assert found.decisions is not None
    assert (found.decisions.review.occurrences, found.decisions.review.count) == (2, 6)
    escapes = found.decisions.escapes
    assert escapes is not None
    assert (escapes.occurrences, escapes.count) == (0, 4)
    assert (found.accuracy.occurrences, found.accuracy.count) == (4, 4)
    assert [share[2].occurrences for share in found.decisions.shares] == [0, 1, 1]


def test_measure_no_readable_image_is_refused() -> None:
    with pytest.raises(DatasetError, match="no image could be inspected"):
        measure(answers("vv", "00", "01"))


def test_evaluate_inspector_whole_result_is_json(tiny_bundle: Path, parts: Path) -> None:
    (parts / "good" / "cut.png").touch()
    found = evaluate_inspector(tiny_bundle, LabelSource(parts), against=tiny_bundle)
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["images"] == 13
    assert list(content["unreadable"]) == [str(parts / "good" / "cut.png")]
    assert content["decisions"]["figures"]["review"]["count"] == 13
    assert content["figures"]["accuracy"]["count"] == 12
    assert [one["figure"] for one in content["against_other"]] == ["escapes", "overkill", "review"]
    assert {one["only_this"] for one in content["against_other"]} == {0}
    assert "states no figures of decisions" in content["notes"][-1]


@pytest.fixture
def other(tmp_path: Path, tiny_card: Card, tiny_graph: bytes, tiny_weights: bytes) -> Path:
    card = changed(tiny_card, accept_classes=("scratch",))
    write_bundle(tmp_path / "other", Bundle(card, tiny_graph, tiny_weights))
    return tmp_path / "other"


def test_evaluate_inspector_other_accept_classes_are_refused(
    tiny_bundle: Path, other: Path, parts: Path
) -> None:
    with pytest.raises(ConfigError, match="accept different classes, good and scratch"):
        evaluate_inspector(tiny_bundle, LabelSource(parts), against=other)


def test_evaluate_inspector_against_takes_no_score_table(tiny_bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("path,label,probability_good\na.png,good,1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="--against needs the images"):
        evaluate_inspector(tiny_bundle, LabelSource(table), against=tiny_bundle)
