"""Check how often a proven bound is broken, and how much review it costs.

    python benchmarks/guarantee.py RUN [--draws 2000] [--escapes 0.05]

RUN is a finished run with accept classes. Its calibration and test images, with the probabilities
that the network gave them, stand for a whole production: parts are drawn from them with
replacement, so the true escape rate of a threshold is known. Each draw fits the policy
`escape_bound` to some of them; the bound is broken where the true rate is above the one asked for.
With groups, each drawn part brings all the images of its group. At last, with ever more images,
review is compared with that of the thresholds that know the truth.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sihwa.dataset import read_manifest
from sihwa.decision import EscapeBoundConfig, ThresholdPolicy, defect_probability
from sihwa.decision.calibration import Calibration
from sihwa.decision.fit_policy import fit_policy
from sihwa.evaluation import group_index
from sihwa.terminal.progress import progress_bar

_SIZES = (1000, 4000, 16000, 64000)


def main() -> None:
    """Run the simulation named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--escapes", type=float, default=0.05)
    parser.add_argument("--overkill", type=float, default=0.1)
    parser.add_argument("--confidence", type=float, default=0.9)
    arguments = parser.parse_args()
    asked = EscapeBoundConfig(
        "escape_bound", 0.0, "image", arguments.escapes, arguments.overkill, {},
        arguments.confidence, best_provable=True,
    )  # fmt: skip
    images = read_population(arguments.run)
    for per in ("image", "group", "part"):
        report(images, asked, per, arguments.draws)
    report_review(images, asked)


def read_population(run: Path) -> Calibration:
    """Return the images of a run that did not train it."""
    manifest = read_manifest(run / "manifest.parquet")
    kept = np.flatnonzero(manifest.split != "train")
    table = pq.read_table(run / "predictions.parquet").take(kept)
    columns = [table[f"probability_{name}"].to_numpy() for name in manifest.classes]
    return Calibration(
        classes=manifest.classes,
        accept_classes=manifest.accept_classes,
        probability=np.stack(columns, axis=1),
        unknown=table["unknown"].to_numpy(),
        label=manifest.label_index[kept],
        group=np.array(manifest.component)[kept].tolist(),
    )


def report(images: Calibration, asked: EscapeBoundConfig, per: str, draws: int) -> None:
    """Print how often the bound is broken."""
    rng, config = np.random.default_rng(0), asked
    if per == "part":
        config = EscapeBoundConfig(**{**vars(asked), "per": "part"})
    truth = images.per_part() if per == "part" else images
    members = _members(images, alone=per == "image")
    broken, trues, reviews = 0, [], []
    with progress_bar(f"per {per}", draws, "draws") as advance:
        for _ in range(draws):
            drawn = _drawn(images, members, len(members), rng)
            fitted = fit_policy(config, drawn)
            assert isinstance(fitted.policy, ThresholdPolicy)
            escapes, review = rates(truth, fitted.policy)
            broken += escapes > max(asked.escapes, fitted.claims[0].bound)
            trues.append(escapes)
            reviews.append(review)
            advance(1)
    allowed = 1 - asked.confidence
    error = 2 * math.sqrt(allowed * (1 - allowed) / draws)
    print(
        f"per {per}: bound of {asked.escapes:.1%} broken in {broken} of {draws} draws, "
        f"{broken / draws:.2%}; allowed {allowed:.0%} + {error:.2%}; mean escapes "
        f"{np.mean(trues):.2%}, mean review {np.mean(reviews):.1%}"
    )


def report_review(images: Calibration, asked: EscapeBoundConfig) -> None:
    """Print review beside that of thresholds that know the truth."""
    rng = np.random.default_rng(1)
    score = defect_probability(images.probability, images.classes, images.accept_classes)
    # of discrete scores: the greatest threshold that keeps the rate
    low = np.quantile(score[images.is_defect], asked.escapes, method="lower")
    high = np.quantile(score[~images.is_defect], 1 - asked.overkill, method="higher")
    best = float(((score >= low) & (score <= high)).mean())
    print(f"review of thresholds that know the truth: {best:.1%}")
    members = _members(images, alone=True)
    for size in _SIZES:
        found = []
        for _ in range(10):
            drawn = _drawn(images, members, size, rng)
            policy = fit_policy(asked, drawn).policy
            assert isinstance(policy, ThresholdPolicy)
            found.append(rates(images, policy)[1])
        ratio = np.mean(found) / best
        print(f"  fitted to {size:,} images: {np.mean(found):.1%}, {ratio:.2f} times that")


def rates(images: Calibration, policy: ThresholdPolicy) -> tuple[float, float]:
    """Return the true escape rate and the share to review."""
    score = defect_probability(images.probability, images.classes, images.accept_classes)
    accepted = score <= policy.accept_at_most
    rejected = score >= policy.reject_at_least
    return float(accepted[images.is_defect].mean()), float((~accepted & ~rejected).mean())


def _members(images: Calibration, *, alone: bool) -> list[NDArray[np.intp]]:
    """Return the rows of each part."""
    number = np.arange(len(images.label)) if alone else group_index(images.group)
    order = np.argsort(number, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


def _drawn(
    images: Calibration, members: list[NDArray[np.intp]], count: int, rng: np.random.Generator
) -> Calibration:
    """Draw parts with replacement; a part that is drawn twice is two parts."""
    chosen = [members[one] for one in rng.integers(0, len(members), count)]
    rows = np.concatenate(chosen)
    parts = np.repeat(np.arange(count), [len(one) for one in chosen])
    return Calibration(
        images.classes,
        images.accept_classes,
        images.probability[rows],
        images.unknown[rows],
        images.label[rows],
        [str(part) for part in parts.tolist()],
    )


if __name__ == "__main__":
    main()
