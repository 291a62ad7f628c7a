"""The smallest inspector: fourteen operators, made by hand, the worked example of the format.

Its network is the average colour of the image. It is kept in `inspector_v3/`, which every later
reader has to read as this one does; `python -m tests.golden.smallest` writes it anew.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from sihwa.inspector import (
    Bundle,
    Card,
    DatasetFacts,
    GraphFacts,
    NetworkFacts,
    TopClassFacts,
    WeightsFacts,
    write_bundle,
)
from sihwa.storage import sha256_of_bytes
from tests.helpers import made_card

FOLDER = Path(__file__).parent / "inspector_v3"
TEMPERATURE = 0.5
WEIGHT = np.array([[2, 1, 0], [-1, 0, 2]], np.float32)
BIAS = np.array([-1.5, -0.5], np.float32)
CENTRE = np.array([[0.75, 0.75, 0.25], [0.25, 0.25, 0.75]], np.float32)
IMAGE = np.array(
    [[[255, 204, 51], [204, 204, 51], [255, 153, 0]], [[153, 204, 102], [204, 255, 51], [204] * 3]],
    np.uint8,
)
"""Two rows of three pixels, RGB."""

_NODES: tuple[tuple[list[str], str, str, dict[str, Any]], ...] = (
    (["image"], "pixels", "Cast", {"to": TensorProto.FLOAT}),
    (["pixels", "places"], "mean", "ReduceMean", {"keepdims": 0}),
    (["mean", "white"], "embedding", "Div", {}),
    (["embedding", "weight", "bias"], "logit", "Gemm", {"transB": 1}),
    (["logit", "temperature"], "calibrated", "Div", {}),
    (["calibrated"], "probability", "Softmax", {"axis": 1}),
    (["embedding", "weight"], "share", "Gemm", {"transB": 1}),
    (["share", "map"], "evidence", "Unsqueeze", {}),
    (["embedding", "one"], "place", "Unsqueeze", {}),
    (["place", "centre"], "offset", "Sub", {}),
    (["offset", "offset"], "square", "Mul", {}),
    (["square", "two"], "distance", "ReduceMean", {"keepdims": 0}),
    (["distance", "one"], "nearest", "ReduceMin", {"keepdims": 0}),
    (["nearest"], "unknown", "Sqrt", {}),
)
_TENSORS: dict[str, Any] = {
    "places": np.array([1, 2]),
    "white": np.float32(255),
    "weight": WEIGHT,
    "bias": BIAS,
    "temperature": np.float32(TEMPERATURE),
    "map": np.array([2, 3]),
    "one": np.array([1]),
    "two": np.array([2]),
    "centre": CENTRE,
}
_OUTPUTS: dict[str, list[str | int | None]] = {
    "probability": ["N", 2],
    "evidence": ["N", 2, 1, 1],
    "embedding": ["N", 3],
    "unknown": ["N"],
}


def smallest_graph() -> bytes:
    """Return the graph without a card."""
    graph = helper.make_graph(
        [helper.make_node(name, given, [made], **more) for given, made, name, more in _NODES],
        "smallest",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
            for name, axes in _OUTPUTS.items()
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _TENSORS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def smallest_card(graph: bytes, weights: bytes) -> Card:
    """Return the card of the graph and its weights."""
    return made_card(
        classes=("good", "얼룩"),
        accept_classes=("good",),
        policy=TopClassFacts(unknown_threshold=0.25),
        network=NetworkFacts(
            name="smallest",
            architecture="average colour",
            input_size=1,
            stages=0,
            embedding_width=3,
        ),
        weights=WeightsFacts(
            source="none", licence="none: not pretrained", sha256=sha256_of_bytes(weights)
        ),
        dataset=DatasetFacts(
            name="made up",
            fingerprint="0" * 64,
            licence="none",
            count={"good": {"test": 1, "train": 2}, "얼룩": {"test": 1, "train": 2}},
        ),
        graph=GraphFacts(sha256=sha256_of_bytes(graph), bytes=len(graph), opset=18),
        code_version="0.1.0",
    )


def smallest_weights() -> bytes:
    """Return weights.safetensors."""
    content: bytes = save(
        {
            "classifier.weight": WEIGHT,
            "classifier.bias": BIAS,
            "temperature": np.array(TEMPERATURE, np.float32),
            "unknown.centre": CENTRE,
            "unknown.projection": np.eye(3, dtype=np.float32),
        }
    )
    return content


def write_smallest(folder: Path) -> None:
    """Write the inspector folder."""
    graph, weights = smallest_graph(), smallest_weights()
    write_bundle(folder, Bundle(smallest_card(graph, weights), graph, weights))


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_smallest(FOLDER)
