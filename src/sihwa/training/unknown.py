"""Fitting the unknown score on training embeddings.

Axes: N images, D embedding width, K classes, R directions.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from sihwa.model import Network


def fit_unknown(
    network: Network, embedding: NDArray[np.floating], label: NDArray[np.integer]
) -> None:
    """Fit class centres and their shared covariance and write them into the network.

    The covariance is shrunk as Ledoit and Wolf 2004 do, because there are often fewer images
    than coordinates.

    Args:
        network: Its unknown score is changed in place.
        embedding: Embeddings of the training images, (N, D).
        label: Class indices, (N,), each class at least once.
    """
    wide = embedding.astype(np.float64)
    classes = range(network.classifier.out_features)
    centre = np.stack([wide[label == index].mean(0) for index in classes])
    residual = wide - centre[label]
    if not residual.any():
        # one image of each class says nothing of its spread: every direction counts alike
        residual = wide - wide.mean(0)
    covariance, _ = ledoit_wolf(residual, assume_centered=True)
    variance, direction = np.linalg.eigh(covariance)
    count = min(network.unknown.projection.shape[1], len(variance))
    largest = slice(len(variance) - count, None)
    # a direction in which nothing ever varied would make any dust look infinitely strange
    spread = np.sqrt(np.maximum(variance[largest], 1e-9 * max(variance[-1], 1e-30)))
    projection = direction[:, largest] / spread
    network.unknown.set_classes(
        torch.from_numpy(projection).float(), torch.from_numpy(centre @ projection).float()
    )
