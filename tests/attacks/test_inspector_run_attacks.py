"""Graphs that lie about what they do, and bytes that only claim to be a graph."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from sihwa.errors import InvalidInspector, ShapeError
from sihwa.inspector import Bundle, Card, load_inspector, write_bundle
from sihwa.inspector.graph_file import OPSET
from sihwa.model import OPSET as EXPORTED_OPSET
from tests.attacks.forge import encode_field, forge, forge_model, graph_of, refuse, reseal
from tests.helpers import changed

Model = onnx.ModelProto
node = onnx.helper.make_node

STRETCHED = [
    node("GlobalMaxPool", ["was"], ["strongest"]),
    node("Expand", ["strongest", "n"], ["evidence"]),
]

# What these graphs declare is right; what they do is not.
LIES: dict[str, tuple[str, list[onnx.NodeProto], list[int], str]] = {
    "probability_of_other_classes": (
        "probability",
        [node("Concat", ["was", "was"], ["probability"], axis=1)],
        [],
        r"probability must be float32 \(2, 3\) .* float32 \(2, 6\)",
    ),
    "unknown_of_other_images": (
        "unknown",
        [node("Concat", ["was", "was"], ["unknown"], axis=0)],
        [],
        r"unknown must be float32 \(2\) .* float32 \(4\)",
    ),
    "evidence_of_another_size": (
        "evidence",
        STRETCHED,
        [1, 1, 80, 80],
        "evidence must be a map of at most 64 × 64",
    ),
    "evidence_exhausts_memory": (
        "evidence",
        STRETCHED,
        [1, 1, 2**30, 2**30],
        "Expand takes something else than a constant shape of at most",
    ),
    "constant_exhausts_memory": (
        "unknown",
        [
            node("ConstantOfShape", ["n"], ["huge"]),
            node("ReduceMax", ["huge"], ["least"], keepdims=0),
            node("Add", ["was", "least"], ["unknown"]),
        ],
        [2**30, 2**29],
        "ConstantOfShape takes something else than a constant shape of at most",
    ),
}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("output", "nodes", "numbers", "reason"), LIES.values(), ids=list(LIES))
def test_load_inspector_graph_does_not_do_what_it_declares_is_refused(
    tiny_bundle: Path,
    output: str,
    nodes: list[onnx.NodeProto],
    numbers: list[int],
    reason: str,
    runtime: str,
) -> None:
    def lie(model: Model) -> None:
        for item in model.graph.node:
            for names in (item.input, item.output):
                names[:] = ["was" if name == output else name for name in names]
        model.graph.node.extend(nodes)
        model.graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), "n"))

    forge_model(tiny_bundle, lie)
    refuse(tiny_bundle, reason, runtime=runtime)


def deep_type(model: Model) -> None:
    """Declare a value that is a list of lists of lists, two thousand deep."""
    inner = model.graph.value_info.add(name="deep").type
    for _ in range(2000):
        inner = inner.sequence_type.elem_type
    inner.tensor_type.elem_type = onnx.TensorProto.FLOAT


def cast_to_no_type(model: Model) -> None:
    item = next(item for item in model.graph.node if item.op_type == "Cast")
    del item.attribute[:]
    item.attribute.append(onnx.helper.make_attribute("to", 999))


NOT_ONNX = "it is not an ONNX file"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("change", [deep_type, cast_to_no_type], ids=lambda one: str(one.__name__))
def test_load_inspector_graph_that_no_runtime_takes_is_refused_in_one_line(
    tiny_bundle: Path, change: Callable[[Model], None], runtime: str
) -> None:
    forge_model(tiny_bundle, change)
    refuse(tiny_bundle, f"{runtime} refuses the graph|{NOT_ONNX}|Div takes", runtime=runtime)


BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "graph.bytes"),
    "truncated": (lambda graph: graph[: len(graph) // 2], NOT_ONNX),
    "zeros": (lambda _: bytes(2**20), NOT_ONNX),
    "zip": (lambda graph: b"PK\x03\x04" + graph, NOT_ONNX),
    "pickle": (lambda _: pickle.dumps({"weights": [1.0]}), NOT_ONNX),
    "text": (lambda _: b"<?xml version='1.0'?><net name='x'/>", NOT_ONNX),
    "two_graphs": (lambda graph: graph + graph, "twice|opset 18"),
    "millions_of_fields": (lambda _: b"\x08\x01" * 1_100_000, "operators of opset 18, found"),
    "millions_of_operators": (
        lambda graph: graph + encode_field(7, b"\x0a\x00" * 1_100_000),
        "expected 1 to 10000 operators",
    ),
    "number_without_end": (lambda _: b"\x08" + b"\xff" * 99, NOT_ONNX),
    "length_beyond_the_file": (lambda _: b"\x3a" + b"\xff" * 8 + b"\x7f", NOT_ONNX),
    "number_for_the_graph": (lambda graph: graph + b"\x38\x01", "unknown fields"),
    "name_not_utf8": (
        lambda graph: graph + encode_field(7, encode_field(5, encode_field(8, b"\xff"))),
        "is not UTF-8|a tensor declares|element type 0",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BYTES.values(), ids=list(BYTES))
def test_load_inspector_no_graph_in_the_graph_is_refused(
    tiny_bundle: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    forge(tiny_bundle, change(graph_of(tiny_bundle)))
    refuse(tiny_bundle, reason, "inspector.onnx")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_load_inspector_bytes_of_two_formats_are_read_as_the_one_that_was_checked(
    tiny_bundle: Path, tiny_card: Card, runtime: str
) -> None:
    # ONNX Runtime takes a file for its own format by bytes 4 to 8, unless it is told not to
    forge(tiny_bundle, encode_field(6, b"..ORTM") + graph_of(tiny_bundle))
    assert load_inspector(tiny_bundle, runtime=runtime).card.classes == tiny_card.classes


def test_write_bundle_graph_that_would_be_refused_is_not_written(
    tmp_path: Path, tiny_graph: bytes, tiny_card: Card
) -> None:
    more = changed(tiny_card, classes=("good", "scratch", "얼룩", "dent"))
    with pytest.raises(InvalidInspector, match="probability must be float32"):
        write_bundle(tmp_path / "inspector", Bundle(more, tiny_graph, b""))
    assert not (tmp_path / "inspector").exists()


def test_opset_of_the_reader_is_that_of_the_exporter() -> None:
    assert OPSET == EXPORTED_OPSET


def only_small(model: Model) -> None:
    """Give shapes as declared for small images, and no evidence for those above five rows."""
    graph = model.graph
    for item in graph.node:
        item.output[:] = ["was" if name == "evidence" else name for name in item.output]
    numbers = {"row": 1, "next": 2, "five": 5, "zero": 0, "last": 3, "end": 4}
    for name, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    for name, value in {"from": 0, "step": 1}.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    graph.node.extend(
        [
            node("Shape", ["image"], ["shape"]),
            node("Slice", ["shape", "row", "next"], ["height"]),
            node("LessOrEqual", ["height", "five"], ["small"]),
            node("Shape", ["was"], ["map"]),
            node("Slice", ["map", "last", "end"], ["width"]),
            node("Where", ["small", "width", "zero"], ["kept"]),
            node("Squeeze", ["kept", "zero"], ["to"]),
            node("Range", ["from", "to", "step"], ["columns"]),
            node("Gather", ["was", "columns"], ["evidence"], axis=3),
        ]
    )


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_predict_graph_that_keeps_its_shapes_at_one_size_alone_is_one_clear_error(
    tiny_bundle: Path, runtime: str
) -> None:
    forge_model(tiny_bundle, only_small)
    inspector = load_inspector(tiny_bundle, runtime=runtime)
    with pytest.raises(InvalidInspector, match=r"evidence must be a map|cannot run the graph"):
        inspector.predict(np.zeros((40, 30, 3), np.uint8))


def test_predict_side_that_the_graph_cannot_count_is_one_clear_error(tiny_bundle: Path) -> None:
    inspector = load_inspector(tiny_bundle)
    with pytest.raises(ShapeError, match="a side may have 65535 pixels"):
        inspector.predict(np.zeros((65_536, 1, 3), np.uint8))


def test_load_inspector_weights_of_another_training_are_refused(tiny_bundle: Path) -> None:
    """card.json may be edited, the card in the graph has its own hash."""
    weights = tiny_bundle / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    reseal(tiny_bundle)
    refuse(tiny_bundle, "expected the weights whose SHA-256", "weights.safetensors")
