"""Logistic regression on images in tiles, with labels of whole images.

Axes: N images, T tiles of an image, D embedding width, K classes.
"""

import copy
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from sihwa.model import Pooling

Float = NDArray[np.floating]


class PooledRegression:
    """A linear classifier of tiles whose pooled logits are fitted to the labels of images.

    Attributes and arguments are named as in scikit-learn's logistic regression, and a fit starts
    from the one before. With tiles that are all alike, it minimises the same.

    Args:
        pooling: Logits of tiles → logits of images.
        max_iter: Steps the optimiser may take.
        balanced: Whether rare classes weigh as much as common ones.
    """

    def __init__(self, pooling: Pooling, max_iter: int, balanced: bool) -> None:
        self.C = 1.0
        self.max_iter = max_iter
        self.n_iter_ = 0
        self._pooling = copy.deepcopy(pooling).cpu()  # its network may move to another device
        self._balanced = balanced
        self.classes_ = np.arange(len(pooling.sign))
        self.coef_: Float = np.zeros((0, 0))
        self.intercept_: Float = np.zeros(len(pooling.sign))

    def fit(self, embedding: Float, label: NDArray[np.integer]) -> Self:
        """Fit to embeddings (N, T, D) and class indices (N,)."""
        kinds, width = len(self.classes_), embedding.shape[2]
        if not self.coef_.size:
            self.coef_ = np.zeros((kinds, width))
        given, target = torch.from_numpy(embedding), torch.from_numpy(label.astype(np.int64))
        count = np.bincount(label, minlength=kinds)
        share = len(label) / (np.count_nonzero(count) * np.maximum(count, 1))
        weight = torch.from_numpy(share if self._balanced else np.ones(kinds))

        def loss(value: Float) -> tuple[float, Float]:
            parameter = torch.from_numpy(value).reshape(kinds, width + 1).requires_grad_()
            logit = self._logits(given, parameter)
            error = functional.cross_entropy(logit, target, weight, reduction="sum")
            # the penalty, as in scikit-learn, leaves out the bias
            total = self.C * error + parameter[:, :width].square().sum() / 2
            total.backward()  # type: ignore[no-untyped-call]
            assert parameter.grad is not None
            return total.item(), parameter.grad.numpy().ravel()

        start = np.column_stack([self.coef_, self.intercept_]).ravel()
        found = optimize.minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"maxiter": self.max_iter}
        )
        parameter = found.x.reshape(kinds, width + 1)
        self.coef_, self.intercept_ = parameter[:, :width], parameter[:, width]
        self.n_iter_ = found.nit
        return self

    def predict_proba(self, embedding: Float) -> Float:
        """Return probabilities (N, K) of embeddings (N, T, D)."""
        parameter = torch.from_numpy(np.column_stack([self.coef_, self.intercept_]))
        probability: Float = self._logits(torch.from_numpy(embedding), parameter).softmax(1).numpy()
        return probability

    def _logits(self, embedding: Tensor, parameter: Tensor) -> Tensor:
        logit = embedding.flatten(0, 1) @ parameter[:, :-1].t() + parameter[:, -1]
        return torch.as_tensor(self._pooling(logit))
