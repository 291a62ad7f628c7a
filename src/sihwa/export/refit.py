"""What reads the embedding, fitted anew to an embedding that has changed a little.

Axes: M images, D embedding width, K classes, R directions.
"""

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

_PENALTIES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
_FAINT = 0.1  # of the root mean square deviation: fainter coordinates would be stretched beyond it

Array = NDArray[np.floating]


def refit_readers(model: onnx.ModelProto, embedding: Array, aim: Array) -> None:
    """Make classifier and unknown score read of one embedding what they read of another, in place.

    Both are linear in the embedding, so a small linear correction is added to both: the least
    squares one, its penalty chosen by the error on each image left out.

    Args:
        model: Its initializers `classifier.weight` (K, D), `classifier.bias` (K,),
            `unknown.projection` (D, R) and `unknown.centre` (K, R) are changed.
        embedding: What the model gives, (M, D).
        aim: What the network that they were made for gives of the same images, (M, D).
    """
    value = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.startswith(("classifier.", "unknown."))
    }
    classes = len(value["classifier.bias"])
    reader = np.concatenate([value["classifier.weight"].T, value["unknown.projection"]], axis=1)
    slope, shift = _correction(embedding.astype(np.float64), aim.astype(np.float64), reader)
    _replace(model, value["classifier.weight"], value["classifier.weight"] + slope[:, :classes].T)
    _replace(model, value["classifier.bias"], value["classifier.bias"] + shift[:classes])
    _replace(model, value["unknown.projection"], value["unknown.projection"] + slope[:, classes:])
    # a position and the centres move together
    _replace(model, value["unknown.centre"], value["unknown.centre"] - shift[classes:])


def _correction(embedding: Array, aim: Array, reader: Array) -> tuple[Array, Array]:
    """Return what to add to the readers (D, K + R) and to what they give (K + R)."""
    deviation = embedding.std(0)
    least = max(_FAINT * float(np.sqrt(np.square(deviation).mean())), 1e-6)
    scale = np.maximum(deviation, least)
    spread = (aim @ reader).std(0)
    spread[spread == 0] = 1  # a direction that is not used
    # each reading counts alike, whatever its unit
    missing = (aim - embedding) @ reader / spread
    ridge = RidgeCV(_PENALTIES).fit((embedding - embedding.mean(0)) / scale, missing)
    slope = ridge.coef_.T * spread / scale[:, None]
    return slope, ridge.intercept_ * spread - embedding.mean(0) @ slope


def _replace(model: onnx.ModelProto, old: Array, new: Array) -> None:
    """Write new numbers wherever the old ones stand; the evidence map has a copy in its shape."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.size == old.size and np.array_equal(array.ravel(), old.ravel()):
            fresh = new.astype(np.float32).reshape(array.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(fresh, tensor.name))
