import numpy as np
import pytest
from scipy import stats

from sihwa.evaluation.decided import measure_parts


def test_measure_parts_agrees_with_counting_part_by_part() -> None:
    rng = np.random.default_rng(0)
    outcome = rng.choice(["accept", "accept", "accept", "reject", "review"], 200)
    is_good, part = rng.random(200) < 0.7, rng.integers(0, 60, 200)
    accepted = rejected = reviewed = defective = good = 0
    for one in set(part.tolist()):
        given = set(outcome[part == one].tolist())
        is_defective = not is_good[part == one].all()
        defective, good = defective + is_defective, good + (not is_defective)
        rejected += "reject" in given and not is_defective
        reviewed += "review" in given and "reject" not in given
        accepted += given == {"accept"} and is_defective
    found = measure_parts(outcome.tolist(), is_good, part, 0.95)
    assert found.escapes
    assert found.overkill
    assert (found.escapes.occurrences, found.escapes.count) == (accepted, defective)
    assert (found.overkill.occurrences, found.overkill.count) == (rejected, good)
    assert (found.review.occurrences, found.review.count) == (reviewed, defective + good)
    bound = stats.beta.ppf(0.95, accepted + 1, defective - accepted)
    assert found.escape_bound == pytest.approx(bound, abs=1e-9)


def test_measure_parts_without_accept_class_has_review_alone() -> None:
    found = measure_parts(["reject", "review", "review"], None, np.array([0, 0, 1]), 0.95)
    assert (found.escapes, found.overkill, found.escape_bound) == (None, None, None)
    assert found.review.value == 0.5
