"""Refit classifier and unknown score to the slightly different embedding of an INT8 backbone.

Axes: M images, D embedding width, K classes, R directions.
"""

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

_PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
_LEAST_DEVIATION = 0.1  # of the root mean square; fainter coordinates are not stretched further

Array = NDArray[np.floating]


def refit_head(model: onnx.ModelProto, embedding: Array, aim: Array) -> None:
    """Change a model's head so that it computes from one embedding what it did from another.

    Classifier and unknown score are linear in the embedding, so each gets a linear correction:
    ridge regression, its penalty chosen by leave-one-out error.

    Args:
        model: Its initializers `classifier.weight` (K, D), `classifier.bias` (K,),
            `unknown.projection` (D, R) and `unknown.centre` (K, R) are changed in place.
        embedding: Embeddings that the model computes, (M, D).
        aim: Embeddings of the same images from the network that the head was fitted to, (M, D).
    """
    value = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.startswith(("classifier.", "unknown."))
    }
    weight, bias = value["classifier.weight"], value["classifier.bias"]
    projection, centre = value["unknown.projection"], value["unknown.centre"]
    classes = len(bias)
    head = np.concatenate([weight.T, projection], axis=1)
    slope, shift = _correction(embedding.astype(np.float64), aim.astype(np.float64), head)
    _replace(model, weight, weight + slope[:, :classes].T)
    _replace(model, bias, bias + shift[:classes])
    _replace(model, projection, projection + slope[:, classes:])
    # a shift of the projected embedding is undone by shifting the centres back
    _replace(model, centre, centre - shift[classes:])


def _correction(embedding: Array, aim: Array, head: Array) -> tuple[Array, Array]:
    """Return what to add to the head (D, K + R) and to its outputs (K + R)."""
    deviation = embedding.std(0)
    least = max(_LEAST_DEVIATION * float(np.sqrt(np.square(deviation).mean())), 1e-6)
    scale = np.maximum(deviation, least)
    unit = (aim @ head).std(0)
    unit[unit == 0] = 1  # unused directions
    # in units of its own deviation, each output counts alike in the choice of the penalty
    missing = (aim - embedding) @ head / unit
    ridge = RidgeCV(_PENALTIES).fit((embedding - embedding.mean(0)) / scale, missing)
    slope = ridge.coef_.T * unit / scale[:, None]
    return slope, ridge.intercept_ * unit - embedding.mean(0) @ slope


def _replace(model: onnx.ModelProto, old: Array, new: Array) -> None:
    """Replace every copy of a tensor's values: the evidence map holds one in another shape."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.size == old.size and np.array_equal(array.ravel(), old.ravel()):
            fresh = new.astype(np.float32).reshape(array.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(fresh, tensor.name))
