import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sihwa.decision import (
    CostConfig,
    DecisionConfig,
    EscapeBoundConfig,
    EvenOddsConfig,
    SelectiveConfig,
    ThresholdPolicy,
    TopClassConfig,
    TopClassPolicy,
)
from sihwa.decision.bounds import allowed_hits
from sihwa.decision.calibration import Calibration
from sihwa.decision.fit_policy import cost_thresholds, fit_policy, require_provable
from sihwa.errors import ConfigError
from sihwa.evaluation import images_to_prove

CLASSES = ("good", "dent", "scratch")


def calibration(
    score: NDArray[np.float64], label: NDArray[np.int64], group: list[str | None] | None = None
) -> Calibration:
    """Return images whose P(defect) is `score`, two thirds of it for the true kind of defect."""
    kind = np.where(label == 2, 2, 1)
    probability = np.zeros((len(score), 3))
    rows = np.arange(len(score))
    probability[:, 0] = 1 - score
    probability[rows, kind] = score * 2 / 3
    probability[rows, 3 - kind] = score / 3
    unknown = np.ones(len(score))
    return Calibration(
        CLASSES, ("good",), probability, unknown, label, group or [None] * len(score)
    )


def drawn(
    rng: np.random.Generator, count: int, defects: float = 0.4
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return P(defect) and label of images; the true posterior, so it is calibrated."""
    is_defect = rng.random(count) < defects
    x = rng.normal(np.where(is_defect, 1.5, -1.5), 1.2)
    odds = defects / (1 - defects) * np.exp(3 * x / 1.2**2)
    label = np.where(is_defect, rng.integers(1, 3, count), 0)
    return odds / (1 + odds), label


def escape_bound(**changes: object) -> EscapeBoundConfig:
    settings = {"escapes": 0.05, "overkill": 0.1, "confidence": 0.9} | changes
    return EscapeBoundConfig("bound", 0.0, **settings)  # type: ignore[arg-type]


def test_escape_bound_equals_the_tolerance_bound_of_scipy() -> None:
    score, label = drawn(np.random.default_rng(0), 800)
    fitted = fit_policy(escape_bound(), calibration(score, label))
    assert isinstance(fitted.policy, ThresholdPolicy)
    lowest = np.sort(score[label > 0])
    # most accepted defects k with P(Binomial(n, 5 %) <= k) <= 1 - confidence
    tail = stats.binom.cdf(np.arange(len(lowest)), len(lowest), 0.05)
    allowed = int((tail <= 0.1).sum()) - 1
    assert lowest[allowed - 1] < fitted.policy.accept_at_most < lowest[allowed]
    escapes, overkill = fitted.claims
    assert (escapes.rate, escapes.occurrences, escapes.images) == ("escapes", allowed, len(lowest))
    assert escapes.bound <= 0.05
    assert stats.binom.cdf(allowed, len(lowest), escapes.bound) == pytest.approx(0.1)
    assert overkill.bound <= 0.1


def test_escape_bound_leaves_no_calibration_score_on_a_threshold() -> None:
    score, label = drawn(np.random.default_rng(1), 500)
    policy = fit_policy(escape_bound(), calibration(score, label)).policy
    assert isinstance(policy, ThresholdPolicy)
    assert policy.accept_at_most not in score
    assert policy.reject_at_least not in score
    accepted = score <= policy.accept_at_most
    between = score[~accepted][score[~accepted] < score[(label > 0) & ~accepted].min()]
    assert not between.size  # as many good parts are accepted as the escapes allow


def test_escape_bound_equal_scores_are_never_divided() -> None:
    label = np.repeat([0, 1], 100)
    score = np.where(label, np.repeat([0.2, 0.9], 100), 0.1)
    score[100:140] = 0.2  # 40 defects as good-looking as each other, more than may escape
    policy = fit_policy(escape_bound(), calibration(score, label)).policy
    assert isinstance(policy, ThresholdPolicy)
    assert 0.1 < policy.accept_at_most < 0.2


def test_even_odds_refuses_to_accept_what_is_more_likely_a_defect() -> None:
    images = calibration(np.array([0.1, 0.6]), np.array([0, 1]))
    policy = fit_policy(EvenOddsConfig("even_odds", 0.0), images).policy
    likely_defect = np.array([[0.4, 0.3, 0.3], [0.5, 0.25, 0.25]])
    assert [one.outcome for one in policy.decide(likely_defect, np.ones(2))] == ["reject", "accept"]


def test_even_odds_without_accept_class_is_the_top_class() -> None:
    images = replace(calibration(np.array([0.1, 0.6]), np.array([0, 1])), accept_classes=())
    assert isinstance(fit_policy(EvenOddsConfig("even_odds", 0.0), images).policy, TopClassPolicy)


def test_per_part_takes_the_worst_image_and_any_defect() -> None:
    score = np.array([0.3, 0.2, 0.8, 0.9, 0.1])
    label = np.array([1, 0, 2, 0, 0])
    parts = calibration(score, label, ["a", "b", "a", "b", "c"]).per_part()
    assert (1 - parts.probability[:, 0]).tolist() == pytest.approx([0.8, 0.9, 0.1])
    assert parts.label.tolist() == [2, 0, 0]
    assert parts.group == [None] * 3


def test_escape_bound_per_part_counts_parts() -> None:
    rng = np.random.default_rng(4)
    score, label = drawn(rng, 300)
    group: list[str | None] = [str(n // 3) for n in range(300)]
    label = np.repeat(label[::3], 3)
    images = calibration(score, label, group)
    fitted = fit_policy(escape_bound(per="part", best_provable=True), images)
    assert isinstance(fitted.policy, ThresholdPolicy)
    worst = score.reshape(-1, 3).max(1)[label[::3] > 0]
    escapes = fitted.claims[0]
    assert (escapes.images, escapes.per) == (len(worst), "part")
    assert escapes.occurrences == (worst <= fitted.policy.accept_at_most).sum()
    assert "calibration parts" in escapes.sentence()


def test_per_part_without_parts_is_refused() -> None:
    images = calibration(np.array([0.1, 0.6]), np.array([0, 1]))
    with pytest.raises(ConfigError, match=r"dataset\.group"):
        fit_policy(escape_bound(per="part"), images)
    with pytest.raises(ConfigError, match="decides single images"):
        SelectiveConfig("selective", per="part")


@pytest.mark.parametrize("images_per_part", [1, 6])
@pytest.mark.parametrize("draws", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_escape_bound_holds_as_often_as_it_says(draws: int, images_per_part: int) -> None:
    rng = np.random.default_rng(2)
    broken, escapes = 0, []
    for _ in range(draws):
        score, label = drawn(rng, 400 // images_per_part)
        noise = rng.normal(0, 0.3, (len(score), images_per_part))
        odds = (np.log(score / (1 - score))[:, None] + noise).ravel()
        of_image = 1 / (1 + np.exp(-odds))
        group: list[str | None] = [
            str(n) for n in np.repeat(np.arange(len(score)), images_per_part)
        ]
        images = calibration(of_image, np.repeat(label, images_per_part), group)
        fitted = fit_policy(escape_bound(best_provable=True), images)
        policy, bound = fitted.policy, fitted.claims[0].bound
        assert isinstance(policy, ThresholdPolicy)
        limit = math.log(policy.accept_at_most / (1 - policy.accept_at_most))
        # the true rate: log-odds of a defect are normal, with the noise of an image added
        mean, slope = math.log(0.4 / 0.6) + 3 * 1.5 / 1.44, 3 / 1.2
        true = stats.norm.cdf(limit, mean, math.hypot(slope, 0.3))
        escapes.append(true)
        broken += true > max(0.05, bound)
    assert broken / draws <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / draws)
    assert np.mean(escapes) > 0.005  # not timid


def test_escape_bound_reviews_like_the_oracle_with_many_images() -> None:
    score, label = drawn(np.random.default_rng(3), 60_000)
    policy = fit_policy(escape_bound(), calibration(score, label)).policy
    assert isinstance(policy, ThresholdPolicy)
    reviewed = ((score > policy.accept_at_most) & (score < policy.reject_at_least)).mean()
    low, high = np.quantile(score[label > 0], 0.05), np.quantile(score[label == 0], 0.9)
    oracle = ((score > low) & (score < high)).mean()
    assert reviewed == pytest.approx(oracle, rel=0.1)
    assert oracle > 0.01


def test_escape_bound_of_a_class_is_proven_by_itself() -> None:
    score, label = drawn(np.random.default_rng(4), 2000)
    score[label == 2] **= 3  # scratches look more like good parts
    images = calibration(score, label)
    plain = fit_policy(escape_bound(), images).policy
    fitted = fit_policy(escape_bound(class_escapes={"scratch": 0.05}), images)
    assert isinstance(plain, ThresholdPolicy)
    assert isinstance(fitted.policy, ThresholdPolicy)
    assert fitted.policy.accept_at_most < plain.accept_at_most
    claim = fitted.claims[1]
    assert (claim.rate, claim.images) == ("escapes of scratch", int((label == 2).sum()))
    with pytest.raises(ConfigError, match="no defect class 'rust'; classes: dent, scratch"):
        fit_policy(escape_bound(class_escapes={"rust": 0.05}), images)


def test_escape_bound_not_provable_says_what_it_takes() -> None:
    score, label = drawn(np.random.default_rng(5), 300)
    images = calibration(score, label)
    config = escape_bound(escapes=0.001, confidence=0.95)
    defects = int((label > 0).sum())
    with pytest.raises(
        ConfigError, match=rf"2,995 .* there are {defects}, which prove 0\.02\d* at"
    ):
        fit_policy(config, images)
    nothing = np.zeros_like(images.probability)  # nothing is known yet before a training
    with pytest.raises(ConfigError, match="2,995"):
        require_provable(config, replace(images, probability=nothing))
    fitted = fit_policy(escape_bound(escapes=0.001, best_provable=True), images)
    assert fitted.claims[0].occurrences == 0
    assert fitted.claims[0].bound == pytest.approx(1 - 0.1 ** (1 / defects))


def test_allowed_hits_is_the_largest_provable_number() -> None:
    for count, rate, confidence in itertools.product((50, 299, 1000), (0.01, 0.1), (0.8, 0.95)):
        tail = stats.binom.cdf(np.arange(count), count, rate)
        expected = int((tail <= 1 - confidence).sum()) - 1
        found = allowed_hits(None, count, rate, confidence)
        assert found == (expected if expected >= 0 else None)
        needed = images_to_prove(rate, confidence)
        assert (1 - rate) ** needed <= 1 - confidence < (1 - rate) ** (needed - 1)


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_cost_thresholds_cost_no_more_than_any_others(prevalence: float | None) -> None:
    rng = np.random.default_rng(6)
    score, label = drawn(rng, 40_000)
    share = float((label > 0).mean())
    config = CostConfig("cost", 0.0, escape=50, overkill=8, review=1.5, prevalence=prevalence)
    line = prevalence or share
    weight = np.where(label > 0, line / share, (1 - line) / (1 - share))

    def cost(low: float, high: float) -> float:
        price = np.where(score <= low, 50.0 * (label > 0), 1.5)
        price = np.where(score >= high, 8.0 * (label == 0), price)
        return float((weight * price).mean())

    low, high = cost_thresholds(config, share)
    best = min(
        cost(a, b) for a in np.linspace(0, 0.9, 31) for b in np.linspace(0.1, 1, 31) if a < b
    )
    assert cost(low, high) <= best * 1.005


def test_cost_review_that_never_pays_leaves_one_threshold() -> None:
    low, high = cost_thresholds(CostConfig("cost", 0.0, escape=9, overkill=1, review=5), 0.5)
    assert low == high == pytest.approx(0.1)


def test_selective_bounds_errors_among_decided_images() -> None:
    rng = np.random.default_rng(7)
    score, label = drawn(rng, 3000)
    images = calibration(score, label)
    fitted = fit_policy(SelectiveConfig("selective", 0.0, errors=0.03, confidence=0.9), images)
    assert isinstance(fitted.policy, TopClassPolicy)
    assert fitted.policy.least_probability is not None
    top = images.probability.max(axis=1)
    decided = top >= fitted.policy.least_probability
    wrong = (images.probability.argmax(axis=1) != label) & decided
    (claim,) = fitted.claims
    assert (claim.occurrences, claim.images) == (wrong.sum(), decided.sum())
    assert 0.02 < claim.bound <= 0.03
    assert claim.bound == pytest.approx(
        stats.beta.ppf(0.9, wrong.sum() + 1, decided.sum() - wrong.sum())
    )


def test_selective_wrong_labels_of_the_surest_are_named() -> None:
    score = np.linspace(0.01, 0.99, 400)
    label = (score > 0.5).astype(np.int64)
    label[:20] = 1
    with pytest.raises(ConfigError, match="of the 45 surest calibration images"):
        fit_policy(
            SelectiveConfig("selective", 0.0, errors=0.05, confidence=0.9),
            calibration(score / 2 + (score > 0.5) * 0.5, label),
        )


@pytest.mark.parametrize(
    "config",
    [escape_bound(), CostConfig("cost", 0.0, escape=9, overkill=1, review=5)],
    ids=["escape_bound", "cost"],
)
def test_fit_policy_without_accept_classes_names_selective(config: DecisionConfig) -> None:
    score, label = drawn(np.random.default_rng(8), 50)
    images = calibration(score, label)
    none = Calibration(CLASSES, (), images.probability, images.unknown, label, images.group)
    with pytest.raises(ConfigError, match="decision=selective"):
        fit_policy(config, none)
    plain = fit_policy(TopClassConfig("top", 0.0), none)
    assert plain.claims == ()
    assert isinstance(plain.policy, TopClassPolicy)


def test_fit_policy_cost_without_any_good_image_is_refused() -> None:
    score, label = drawn(np.random.default_rng(9), 50)
    images = calibration(score, np.maximum(label, 1))
    with pytest.raises(ConfigError, match="there are 0 and 50"):
        fit_policy(CostConfig("cost", 0.0, escape=9, overkill=1, review=5), images)


@pytest.mark.parametrize(
    ("count", "rate", "limit", "note"),
    [(98, 0.01, 98.0, "takes 99"), (99, 0.01, 50.0, ""), (9, 0.0, None, ""), (9, 0.1, 4.5, "")],
)
def test_fit_policy_few_images_still_call_far_ones_unknown(
    count: int, rate: float, limit: float | None, note: str
) -> None:
    score, label = drawn(np.random.default_rng(10), count)
    images = replace(calibration(score, label), unknown=np.arange(1.0, count + 1) / 2)
    fitted = fit_policy(TopClassConfig("top", rate), images)
    found = fitted.policy.unknown_threshold
    assert found == (limit if limit is None else pytest.approx(limit, rel=0.02))
    assert note in fitted.unknown_note
    assert bool(note) == bool(fitted.unknown_note)
