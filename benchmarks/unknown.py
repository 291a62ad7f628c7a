"""Compare scores for images unlike the training images, on data sets and classes kept aside.

    python benchmarks/unknown.py NEU-DET.zip

Each score is fitted on training images and gets the conformal threshold of an allowed false-alarm
rate from calibration images; the test images say how many ordinary images it then calls unknown.
Kept aside are: all of NEU-DET for an inspector of ELPV, all of ELPV for one of NEU-DET, and each
class of NEU-DET in turn. At the end, images of mere noise are shown to both, also with a threshold
from ten calibration images alone. Scores: the one in use, Mahalanobis, the same relative to a
single class and in the directions between classes alone, distance to the k-th nearest training
image, energy and greatest probability of a logistic regression, and ViM.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from exposures import read_source
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from sihwa.dataset import Manifest
from sihwa.decision import far_threshold, fit_unknown, unknown_threshold
from sihwa.run.build_network import build_network
from sihwa.run.compose import compose_config
from sihwa.run.processes import choose_device
from sihwa.training import embed_manifest
from sihwa.training.embedding import create_embedder

Array = NDArray[np.floating]
Score = Callable[[Array], Array]
_DIRECTIONS = 256  # as in the network
_NEIGHBOURS = 5
_RATES = (0.01, 0.05)


class Fitted(NamedTuple):
    """Training images as the scores see them."""

    embedding: Array
    """Standardised, (N, D)."""
    label: NDArray[np.integer]
    """Class indices without a gap, (N,)."""
    model: LogisticRegression


class Trial(NamedTuple):
    """Images of known and of unknown kinds."""

    name: str
    train: Array
    label: NDArray[np.integer]
    calibration: Array
    test: Array
    unknown: Array


def in_use(fitted: Fitted) -> Score:
    """The score of an inspector; see `fit_unknown`."""
    projection, centre = fit_unknown(fitted.embedding, fitted.label, _DIRECTIONS)
    return lambda found: _nearest_centre(found @ projection, centre)


def mahalanobis(fitted: Fitted) -> Score:
    """Distance to the nearest class centre, covariance shrunk. Source: arXiv 1807.03888."""
    white, centre = _white(fitted)
    return lambda found: _nearest_centre(found @ white, centre)


def relative_mahalanobis(fitted: Fitted) -> Score:
    """Distance to the nearest class less that to all classes as one. Source: arXiv 2106.09022."""
    of_class = mahalanobis(fitted)
    of_all = mahalanobis(fitted._replace(label=np.zeros_like(fitted.label)))
    return lambda found: of_class(found) ** 2 - of_all(found) ** 2


def between_classes(fitted: Fitted) -> Score:
    """Distance to the nearest centre in the directions in which the centres differ alone."""
    white, centre = _white(fitted)
    span = np.linalg.svd(centre - centre.mean(0))[2][: len(centre) - 1].T
    return lambda found: _nearest_centre(found @ white @ span, centre @ span)


def _white(fitted: Fitted) -> tuple[Array, Array]:
    """Return a whitening projection (D, D) and the projected class centres (K, D)."""
    kinds = range(fitted.label.max() + 1)
    centre = np.stack([fitted.embedding[fitted.label == kind].mean(0) for kind in kinds])
    residual = fitted.embedding - centre[fitted.label]
    white = np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(residual).precision_)
    return white, centre @ white


def neighbour(fitted: Fitted) -> Score:
    """Distance to the k-th nearest training image, at unit length. Source: arXiv 2204.06507."""
    found = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(_unit(fitted.embedding))
    return lambda other: found.kneighbors(_unit(other))[0][:, -1]


def energy(fitted: Fitted) -> Score:
    """Minus log-sum-exp of the logits. Source: arXiv 2010.03759."""
    return lambda found: -_log_sum_exp(_logits(fitted.model, found))


def greatest_probability(fitted: Fitted) -> Score:
    """Doubt: one less the greatest probability. Source: arXiv 1610.02136."""
    return lambda found: 1 - fitted.model.predict_proba(found).max(1)


def vim(fitted: Fitted) -> Score:
    """Length outside the leading directions, less the energy. Source: arXiv 2203.10807."""
    middle = -np.linalg.pinv(_weights(fitted.model)) @ _bias(fitted.model)
    centred = fitted.embedding - middle
    variance, direction = np.linalg.eigh(centred.T @ centred)
    rest = direction[:, : max(1, len(variance) - min(_DIRECTIONS, len(variance) // 2))]
    length = np.linalg.norm(centred @ rest, axis=1)
    scale = _logits(fitted.model, fitted.embedding).max(1).mean() / length.mean()
    return lambda found: (
        scale * np.linalg.norm((found - middle) @ rest, axis=1)
        - _log_sum_exp(_logits(fitted.model, found))
    )


SCORES = (
    in_use, mahalanobis, relative_mahalanobis, between_classes, neighbour, energy,
    greatest_probability, vim,
)  # fmt: skip


def main() -> None:
    """Run the comparison named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("neu_det", help="NEU-DET.zip, or its folder")
    arguments = parser.parse_args()
    for trial in trials(arguments.neu_det):
        print(f"\n{trial.name}: {len(trial.train)} training, {len(trial.calibration)} calibration, "
              f"{len(trial.test)} test, {len(trial.unknown)} unknown images")  # fmt: skip
        for name, columns in measure(trial):
            print(f"  {name:24}" + "".join(columns))
    for source in ("elpv", arguments.neu_det):
        report_noise(source)


def trials(neu_det: str) -> Iterator[Trial]:
    """Yield what is kept aside, one after the other."""
    (elpv, of_elpv), (neu, of_neu) = (_embedded(source) for source in ("elpv", neu_det))
    yield _trial("ELPV, shown NEU-DET", elpv, of_elpv, None, of_neu)
    yield _trial("NEU-DET, shown ELPV", neu, of_neu, None, of_elpv)
    for kind, name in enumerate(neu.classes):
        yield _trial(f"NEU-DET without {name}", neu, of_neu, kind, of_neu[neu.label_index == kind])


def measure(trial: Trial) -> Iterator[tuple[str, list[str]]]:
    """Yield for each score, at each rate: unknown images found, ordinary ones called unknown."""
    mean, deviation = trial.train.mean(0), trial.train.std(0) + 1e-6
    sets = [(one - mean) / deviation for one in (trial.train, *trial[3:])]
    train, calibration, test, unknown = sets
    _, label = np.unique(trial.label, return_inverse=True)
    model = LogisticRegression(C=0.01, max_iter=300).fit(train, label)
    for make in SCORES:
        score = make(Fitted(train, label, model))
        columns = []
        for rate in _RATES:
            limit = unknown_threshold(score(calibration), rate)
            if limit is not None:
                shares = [(score(one) > limit).mean() for one in (unknown, test)]
                columns.append(f"  {rate:.0%}: {shares[0]:6.1%} found, {shares[1]:5.1%} false")
        yield make.__name__, columns


def report_noise(source: str) -> None:
    """Print how many images of noise the score in use calls unknown, with its two thresholds."""
    manifest, embedding = _embedded(source)
    rng = np.random.default_rng(0)
    network = build_network(compose_config(["dataset=elpv"]), manifest)
    embed = create_embedder(network, choose_device("cpu"))
    noise = [
        np.clip(rng.normal(mean, deviation, (300, 300, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
        for mean in (2, 60, 128, 252)
        for deviation in (1, 5, 30)
    ]
    train, calibration = (manifest.split == split for split in ("train", "calibration"))
    score = in_use(Fitted(embedding[train], manifest.label_index[train], LogisticRegression()))
    of_noise = score(np.concatenate([embed(image[None]).mean(1) for image in noise]))
    ordinary = score(embedding[calibration])
    limit = unknown_threshold(ordinary, _RATES[0]) or np.inf
    few = [far_threshold(rng.choice(ordinary, 10, replace=False)) for _ in range(1000)]
    found = np.mean([(of_noise > one).mean() for one in few])
    print(
        f"\n{manifest.name}: {(of_noise > limit).sum()} of {len(noise)} images of noise at "
        f"{_RATES[0]:.0%}; with ten calibration images {found:.1%} of them, mean of 1,000 draws"
    )


def _embedded(source: str) -> tuple[Manifest, Array]:
    manifest = read_source(source)
    config = compose_config(["dataset=elpv"])  # the network does not depend on it
    network = build_network(config, manifest)
    cache, device = Path(config.cache_dir), choose_device(config.device)
    return manifest, embed_manifest(network, manifest, cache_dir=cache, device=device)


def _trial(
    name: str, manifest: Manifest, embedding: Array, kept_aside: int | None, unknown: Array
) -> Trial:
    label = manifest.label_index
    known = label != kept_aside
    train, calibration, test = (
        known & (manifest.split == split) for split in ("train", "calibration", "test")
    )
    return Trial(
        name, embedding[train], label[train], embedding[calibration], embedding[test], unknown
    )


def _nearest_centre(projected: Array, centre: Array) -> Array:
    square = (projected**2).sum(1)[:, None] - 2 * projected @ centre.T + (centre**2).sum(1)
    nearest: Array = np.sqrt(np.maximum(square.min(1), 0) / centre.shape[1])
    return nearest


def _unit(embedding: Array) -> Array:
    unit: Array = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return unit


def _weights(model: LogisticRegression) -> Array:
    weights: Array = model.coef_
    return np.vstack([-weights, weights]) / 2 if len(weights) == 1 else weights


def _bias(model: LogisticRegression) -> Array:
    bias: Array = model.intercept_
    return np.r_[-bias, bias] / 2 if len(bias) == 1 else bias


def _logits(model: LogisticRegression, embedding: Array) -> Array:
    logit: Array = model.decision_function(embedding)
    return np.stack([-logit, logit], 1) / 2 if logit.ndim == 1 else logit


def _log_sum_exp(logit: Array) -> Array:
    greatest = logit.max(1)
    total: Array = greatest + np.log(np.exp(logit - greatest[:, None]).sum(1))
    return total


if __name__ == "__main__":
    main()
