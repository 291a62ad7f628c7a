"""Probe training: a regularised linear classifier on the embeddings of a frozen backbone.

Axes: N images, T tiles of an image, D embedding width, K classes.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from sihwa.dataset import Manifest
from sihwa.errors import DatasetError
from sihwa.images import available_cores
from sihwa.model import Network, Pooling
from sihwa.terminal.progress import progress_bar
from sihwa.training.config import ProbeConfig
from sihwa.training.embedding import embed_tiles
from sihwa.training.pooled_regression import PooledRegression
from sihwa.training.train import TrainContext, TrainResult

log = logging.getLogger(__name__)

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]


_TOO_FEW = (
    "training=probe: choosing a strength by cross-validation needs training images of at least two "
    "groups in every class, apart from groups that join classes; add images, or name one "
    'strength, such as "training.strengths=[0.01]"'
)


_FAINT = 0.25
"""Least deviation that a coordinate is divided by, as a share of the root mean square of all.
Values of 0.1 to 0.5 were best on ELPV: cross-validated log-loss 0.314, against 0.325 for 0."""


Classifier: TypeAlias = "_OfOneTile | PooledRegression"


class ProbeResult(NamedTuple):
    """How the regularisation was chosen."""

    strength: float
    """The C with the least cross-validated log-loss."""
    log_loss: dict[float, float]
    """Cross-validated log-loss in nats for each candidate C, mean over folds; empty if
    there was one candidate and too few images for a cross-validation."""
    converged: bool


def train_probe(
    network: Network, manifest: Manifest, config: ProbeConfig, context: TrainContext
) -> TrainResult:
    """Fit the network's classifier on the training images, in place."""
    embedding = embed_tiles(network, manifest, cache_dir=context.cache_dir, device=context.device)
    label, train = manifest.label_index, manifest.split == "train"
    component = np.asarray(manifest.component)[train].tolist()
    fit = fit_probe(network, embedding[train], label[train], component, config, seed=context.seed)
    score = fit.log_loss.get(fit.strength)
    note = "not cross-validated" if score is None else f"log-loss {score:.4f}"
    log.info("probe: C = %g (%s)", fit.strength, note)
    if not fit.converged:
        log.warning("the probe stopped before it converged: raise training.max_iterations")
    return TrainResult(f"C = {fit.strength:g}", score, pretrained_backbone=True)


def fit_probe(
    network: Network,
    embedding: FloatArray,
    label: IntArray,
    group: Sequence[str],
    config: ProbeConfig,
    *,
    seed: int,
) -> ProbeResult:
    """Fit the network's classifier on training embeddings and write it into the network.

    Args:
        network: Its classifier is changed in place.
        embedding: Embeddings of the tiles of the training images, (N, T, D).
        label: Class indices, (N,), each class at least once.
        group: Groups that stay together in the cross-validation, (N,).
        config: Candidates and folds.
        seed: Seeds the folds.

    Raises:
        DatasetError: A class has fewer than two groups, so nothing can be held out to choose by.
    """
    scale = Scaler.of(embedding)
    standard = scale(embedding)
    create = partial(_create_classifier, config, network.pooling)
    model = create()
    # the products are small, so threads within one only wait for each other (18 times the processor
    # time on NEU with two threads); instead, folds run in parallel
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported in the result
        losses = _cross_validate(standard, label, group, config, create, seed)
        strength = min(losses or config.strengths, key=lambda candidate: losses.get(candidate, 0))
        converged = _fit(model, standard, label, strength)
    network.set_classifier(*map(torch.from_numpy, scale.unfold(*_per_class(model))))
    return ProbeResult(strength, losses, converged)


def fit_classifier(
    embedding: FloatArray, label: IntArray, strength: float, pooling: Pooling | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return weight (K, D) and bias (K,) of a classifier on standardised embeddings (N, T, D)."""
    model = _create_classifier(ProbeConfig(strengths=[strength], max_iterations=300), pooling)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # training only starts from it
        _fit(model, embedding, label, strength)
    return _per_class(model)


@dataclass(frozen=True)
class Scaler:
    """Zero mean and unit deviation per embedding coordinate, so that one C fits all of them.

    Coordinates that hardly vary keep a smaller deviation: scaled up they would be mostly noise, and
    training the layers before them would amplify small changes.
    """

    mean: FloatArray
    deviation: FloatArray

    @classmethod
    def of(cls, embedding: FloatArray) -> "Scaler":
        """Measure embeddings (…, D)."""
        wide = embedding.astype(np.float64).reshape(-1, embedding.shape[-1])
        deviation = wide.std(0)
        least = max(_FAINT * float(np.sqrt(np.square(deviation).mean())), 1e-6)
        return cls(wide.mean(0), np.maximum(deviation, least))

    def __call__(self, embedding: FloatArray) -> FloatArray:
        """Return standardised embeddings, (…, D)."""
        return (embedding.astype(np.float64) - self.mean) / self.deviation

    def unfold(self, weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the classifier (K, D), (K,) that gives the same logits on raw embeddings."""
        raw = weight / self.deviation
        return raw, bias - raw @ self.mean


def _cross_validate(
    embedding: FloatArray,
    label: IntArray,
    group: Sequence[str],
    config: ProbeConfig,
    create: Callable[[], Classifier],
    seed: int,
) -> dict[float, float]:
    """Return the mean held-out log-loss of each candidate; {} if there is no choice."""
    groups = Counter(kind for kind, _ in set(zip(label.tolist(), group, strict=True)))
    folds = min(config.folds, *groups.values())
    if folds < 2:
        if len(config.strengths) == 1:
            return {}
        raise DatasetError(_TOO_FEW)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    pairs = [
        (train, held)
        for train, held in splitter.split(label, label, group)
        # a large group can remove a whole class from the training folds
        if len(held) and len(np.unique(label[train])) == len(np.unique(label))
    ]
    if not pairs:
        raise DatasetError(_TOO_FEW)
    models = [create() for _ in pairs]
    losses: dict[float, float] = {}
    strengths = sorted(config.strengths)

    def held_out_loss(strength: float, fold: int) -> float:
        train, held = pairs[fold]
        # a warm start takes half the time and converges better
        model = models[fold]
        _fit(model, embedding[train], label[train], strength)
        probability = model.predict_proba(embedding[held])
        return float(log_loss(label[held], probability, labels=model.classes_))

    with (
        progress_bar("fitting", len(strengths) * len(pairs), "fits") as advance,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        for strength in strengths:
            held_out = []
            for loss in pool.map(partial(held_out_loss, strength), range(len(pairs))):
                held_out.append(loss)
                advance(1)
            losses[strength] = float(np.mean(held_out))
            if min(list(losses.values())[-2:]) > min(losses.values()):
                break  # two in a row past the minimum; larger strengths take longest to fit
    return losses


def _create_classifier(config: ProbeConfig, pooling: Pooling | None) -> Classifier:
    if pooling is not None:
        return PooledRegression(pooling, config.max_iterations, config.balanced)
    return _OfOneTile(
        max_iter=config.max_iterations,
        class_weight="balanced" if config.balanced else None,
        warm_start=True,
    )


class _OfOneTile(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's logistic regression, on embeddings (N, 1, D)."""

    def fit(self, embedding: FloatArray, label: IntArray) -> Self:
        super().fit(embedding[:, 0], label)
        return self

    def predict_proba(self, embedding: FloatArray) -> FloatArray:
        probability: FloatArray = super().predict_proba(embedding[:, 0])
        return probability


def _fit(model: Classifier, embedding: FloatArray, label: IntArray, strength: float) -> bool:
    """Fit in place; return whether it converged within its allowed steps."""
    model.C = strength
    model.fit(embedding, label)
    return bool(np.max(model.n_iter_) < model.max_iter)


def _per_class(model: Classifier) -> tuple[FloatArray, FloatArray]:
    """Return one weight row per class; scikit-learn keeps a single row when there are two."""
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        # ±half keeps softmax over two logits equal to the sigmoid of the single one
        return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias
