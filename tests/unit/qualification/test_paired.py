"""Better, worse or cannot be told: two inspectors on the same images."""

import numpy as np
import pytest
from scipy import stats

from sihwa.qualification.paired import Judged, compare_judged

ALONE = [str(n) for n in range(60)]
GOOD = np.arange(60) < 20


def judged(escapes: int, review: int = 0, accept_classes: bool = True) -> Judged:
    """Twenty good parts accepted; of forty defects some escape, some are in review."""
    outcome = np.where(GOOD, "accept", "reject").astype("<U6")
    outcome[20 : 20 + escapes] = "accept"
    outcome[60 - review :] = "review"
    return Judged(outcome, (outcome == "accept") & ~GOOD, GOOD if accept_classes else None)


def test_compare_judged_fewer_escapes_are_better() -> None:
    escapes, overkill, review = compare_judged(judged(1), judged(12), ALONE)
    assert (escapes.name, escapes.images, escapes.one, escapes.other) == ("escapes", 40, 1, 12)
    assert escapes.test.p_value == pytest.approx(stats.binomtest(0, 11).pvalue)
    assert escapes.verdict == "better (p = 0.00098)"
    assert (overkill.images, overkill.verdict) == (20, "the same on 20 images")
    assert review.name == "review"
    assert compare_judged(judged(12), judged(1), ALONE)[0].verdict == "worse (p = 0.00098)"


def test_compare_judged_few_differences_cannot_be_told() -> None:
    verdict = compare_judged(judged(1), judged(4), ALONE)[0].verdict
    assert verdict == "cannot be told with 40 images (p = 0.25)"


def test_compare_judged_images_of_one_part_count_once() -> None:
    group = [str(n // 10) for n in range(60)]
    verdict = compare_judged(judged(1), judged(12), group)[0].verdict
    assert verdict == "cannot be told with 40 images of 4 parts (p = 0.5)"


def test_compare_judged_without_accept_classes_takes_wrong_classes() -> None:
    one, other = (judged(n, accept_classes=False) for n in (0, 9))
    names = {row.name: row.verdict for row in compare_judged(one, other, ALONE)}
    assert names == {"wrong_classes": "better (p = 0.0039)", "review": "the same on 60 images"}


def test_compare_judged_review_of_more_images_is_worse() -> None:
    assert compare_judged(judged(0, 15), judged(0), ALONE)[2].verdict.startswith("worse")
