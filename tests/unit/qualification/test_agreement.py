import itertools
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sihwa.decision import ACCEPT, REJECT, REVIEW, Outcome
from sihwa.errors import DatasetError
from sihwa.evaluation import clopper_pearson
from sihwa.evaluation.grouped import grouped_interval
from sihwa.qualification.agreement import Agreement, AppraiserFigures, measure_agreement
from sihwa.qualification.aiag_limits import GRADES
from sihwa.qualification.study_table import Rating, Ratings, read_study
from tests.unit.qualification.study_data import GOLDEN


def made(decisions: dict[str, list[str]], truth: str) -> Ratings:
    """Return a study; a decision is a letter of a (accept), r (reject), v (review), a part each."""
    word: dict[str, Outcome] = {"a": ACCEPT, "r": REJECT, "v": REVIEW}
    ratings = [
        Rating(str(part), who, str(trial), word[letter])
        for who, trials in decisions.items()
        for trial, letters in enumerate(trials)
        for part, letter in enumerate(letters)
    ]
    return Ratings(ratings, {str(part): word[letter] for part, letter in enumerate(truth)})


def one(study: Ratings, **options: bool) -> AppraiserFigures:
    return measure_agreement(study, **options).appraisers[0]


@pytest.fixture(scope="module")
def golden() -> Agreement:
    return measure_agreement(read_study(GOLDEN, {}, ["No"]))  # there, Yes names the defect


@pytest.mark.parametrize(
    ("name", "within", "right", "miss", "false_alarm", "kappa"),
    [
        ("EG", (14, 68.052, 99.831), (12, 51.911, 95.669), 16.67, 20, 0.612903225806452),
        ("BL", (14, 68.052, 99.831), (11, 44.9, 92.213), 26.67, 20, 0.492307692307692),
        ("MH", (12, 51.911, 95.669), (9, 32.287, 83.664), 10, 66.67, 0.264150943396226),
    ],
)
def test_agreement_of_each_appraiser_equals_the_published_figures(
    golden: Agreement,
    name: str,
    within: tuple[int, float, float],
    right: tuple[int, float, float],
    miss: float,
    false_alarm: float,
    kappa: float,
) -> None:
    (found,) = [figures for figures in golden.appraisers if figures.name == name]
    for figure, expected in ((found.within, within), (found.effectiveness, right)):
        assert figure.occurrences == expected[0]
        assert (figure.low, figure.high) == pytest.approx(
            (expected[1] / 100, expected[2] / 100), abs=1e-5
        )
    assert found.miss_rate.value == pytest.approx(miss / 100, abs=1e-4)
    assert found.false_alarm_rate.value == pytest.approx(false_alarm / 100, abs=1e-4)
    assert found.kappa.value == pytest.approx(kappa, abs=1e-12)


def test_agreement_grades_equal_the_published_ones(golden: Agreement) -> None:
    grades = [[limit.grade for limit in found.limits[:3]] for found in golden.appraisers]
    acceptable, marginal, unacceptable = GRADES
    assert acceptable not in itertools.chain(*grades)
    # one published grade differs: JASP calls a miss rate of 10 % marginal
    assert grades == [
        [marginal, unacceptable, unacceptable],
        [unacceptable] * 3,
        [unacceptable] * 3,
    ]


def test_agreement_between_appraisers_equals_the_published_figures(golden: Agreement) -> None:
    assert golden.all_agree is not None
    assert golden.all_agree.occurrences == 9
    assert golden.all_agree.low == pytest.approx(0.32287, abs=1e-5)
    assert golden.fleiss_kappa is not None
    assert golden.fleiss_kappa.value == pytest.approx(0.641666666666666, abs=1e-12)


def test_agreement_of_pairs_equals_scikit_learn(golden: Agreement) -> None:
    study = read_study(GOLDEN, {}, ["No"])
    decisions: dict[str, list[str]] = {}
    for rating in sorted(study.ratings):
        decisions.setdefault(rating.appraiser, []).append(rating.decision)
    assert len(golden.pairs) == 3
    for pair in golden.pairs:
        expected = cohen_kappa_score(decisions[pair.one], decisions[pair.other])
        assert pair.kappa.value == pytest.approx(expected, abs=1e-12)


def test_agreement_review_is_neither_right_nor_wrong() -> None:
    study = made({"A": ["aarv", "aarv"]}, "aarr")
    found = one(study)
    assert (found.effectiveness.occurrences, found.effectiveness.count) == (3, 4)
    assert (found.miss_rate.occurrences, found.false_alarm_rate.occurrences) == (0, 0)
    assert (found.review.occurrences, found.review.count) == (2, 8)
    assert one(study, review_as_reject=True).effectiveness.occurrences == 4
    good = made({"A": ["aav", "aav"]}, "aaa")
    assert one(good).false_alarm_rate.occurrences == 0
    assert one(good, review_as_reject=True).false_alarm_rate.occurrences == 2


def test_agreement_trials_of_one_part_add_no_evidence() -> None:
    trial = "a" * 19 + "r" * 19 + "ar"
    truth = "a" * 20 + "r" * 20
    found = one(made({"A": [trial[:38] + "ra"] * 5}, truth))
    low, high = found.miss_rate.low, found.miss_rate.high
    once = clopper_pearson(1, 20)
    assert (low, high) == pytest.approx(once, abs=0.02)
    hit = np.repeat(np.arange(20) == 19, 5)
    assert (low, high) == pytest.approx(grouped_interval(hit, np.arange(100) // 5))


def test_agreement_kappa_of_repeated_trials_has_the_interval_of_one() -> None:
    truth, trial = "a" * 20 + "r" * 20, "a" * 17 + "rrr" + "r" * 18 + "aa"
    once, often = (one(made({"A": [trial] * trials}, truth)).kappa for trials in (1, 5))
    assert once.low is not None
    assert (often.value, often.low) == pytest.approx((once.value, once.low))


def test_agreement_faultless_study_is_acceptable_and_says_that_it_is_small() -> None:
    found = measure_agreement(made({"A": ["arar"] * 3}, "arar"))
    assert found.appraisers[0].verdict == "acceptable"
    assert found.appraisers[0].kappa.low is not None
    assert found.appraisers[0].kappa.low < 0.5
    assert "fewer than the 50, 3 and 3" in found.notes[0]
    assert (found.pairs, found.all_agree) == ((), None)


def test_agreement_limits_are_inclusive() -> None:
    truth = "a" * 100 + "r" * 50
    trial = "r" * 5 + "a" * 95 + "a" * 1 + "r" * 49  # 5 % false alarms, 2 % misses
    found = one(made({"A": [trial]}, truth))
    assert {limit.figure: limit.grade for limit in found.limits}["miss_rate"] == "acceptable"
    assert found.verdict == "acceptable"
    assert found.within.value is None
    worse = one(made({"A": ["r" + trial[:5] + trial[6:]]}, truth))
    assert worse.limits[2].figure == "false_alarm_rate"
    assert worse.limits[2].grade == "marginal"


def test_agreement_one_reference_alone_is_noted_and_undefined() -> None:
    found = measure_agreement(made({"A": ["aa", "aa"]}, "aa"))
    assert found.appraisers[0].miss_rate.value is None
    assert found.appraisers[0].kappa.reason is not None
    assert any("all parts have one reference" in line for line in found.notes)


def test_agreement_left_out_part_is_refused(tmp_path: Path) -> None:
    study = made({"A": ["ar", "ar"]}, "ar")
    study.ratings.pop()
    with pytest.raises(DatasetError, match="A has no decision about part 1 in trial 1"):
        measure_agreement(study)


def test_agreement_without_a_decision_is_refused() -> None:
    with pytest.raises(DatasetError, match="holds no decision"):
        measure_agreement(Ratings([], {"1": ACCEPT}))
