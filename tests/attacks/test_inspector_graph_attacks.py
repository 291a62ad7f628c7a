"""Hostile graphs: all hashes fit, so only looking into the graph can refuse them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from onnx import TensorProto, helper

from sihwa.inspector.card import FORMAT_VERSION
from sihwa.inspector.graph_file import OPSET
from tests.attacks.forge import (
    custom_node,
    encode_field,
    external,
    forge,
    forge_model,
    graph_of,
    refuse,
)

Model = onnx.ModelProto
Change = Callable[[Model], Any]
node = helper.make_node
value_info = helper.make_tensor_value_info


def add(*nodes: onnx.NodeProto) -> Change:
    """Return a change that puts operators at the end of the graph."""
    return lambda model: model.graph.node.extend(nodes)


def axes(model: Model, output: str) -> list[Any]:
    """Return the declared axes of an output."""
    ports = {port.name: port for port in (*model.graph.input, *model.graph.output)}
    return list(ports[output].type.tensor_type.shape.dim)


def element(model: Model, name: str, kind: int) -> None:
    ports = {port.name: port for port in (*model.graph.input, *model.graph.output)}
    ports[name].type.tensor_type.elem_type = kind


def sparse() -> onnx.SparseTensorProto:
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    return helper.make_sparse_tensor(values, places, [1000000])


def function(model: Model) -> None:
    """Hide a custom operator in a function that looks like a standard operator."""
    opsets = [helper.make_opsetid("", OPSET)]
    model.functions.append(
        helper.make_function("", "Relu", ["image"], ["ran"], [custom_node()], opsets)
    )


def resize_tensor(model: Model, *dims: int) -> None:
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend(dims)


def constant(model: Model, name: str, value: object) -> None:
    item = model.graph.node.add(op_type="Constant", output=["c"])
    item.attribute.append(helper.make_attribute(name, value))


def rename(model: Model, old: str, new: str) -> None:
    for port in (*model.graph.input, *model.graph.output):
        port.name = new if port.name == old else port.name
    for item in model.graph.node:
        for names in (item.input, item.output):
            names[:] = [new if name == old else name for name in names]


def never_made(model: Model, output: str) -> None:
    """Let the operator that makes an output make `was` instead."""
    for item in model.graph.node:
        item.output[:] = ["was" if name == output else name for name in item.output]


def cycle_through_unknown(model: Model) -> None:
    never_made(model, "unknown")
    model.graph.node.append(node("Add", ["was", "unknown"], ["a"]))
    model.graph.node.append(node("Relu", ["a"], ["unknown"]))


def with_tensor(*dims: int) -> onnx.TensorProto:
    tensor: onnx.TensorProto = helper.make_tensor("x", TensorProto.FLOAT, [1], b"0000", raw=True)
    tensor.dims[:] = dims
    return tensor


def divide(model: Model, divisor: int, through: str = "Identity") -> None:
    """Divide the least whole number, which nothing then uses."""
    tensors = {"least": -(2**63), "divisor": divisor}
    for name, value in tensors.items():
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(value, np.int64), name)
        )
    if through != "Identity":
        model.graph.node.append(node(through, ["divisor"], ["computed"]))
    by = "divisor" if through == "Identity" else "computed"
    model.graph.node.append(node("Div", ["least", by], ["quotient"]))


def argument(operator: str, *given: int | None, **attributes: Any) -> Change:  # noqa: ANN401
    """Let an operator take whole numbers; None is what the image's first pixels say."""

    def change(model: Model) -> None:
        model.graph.node.append(node("Cast", ["image"], ["pixels"], to=TensorProto.INT64))
        names = []
        for place, value in enumerate(given):
            names.append("pixels" if value is None else f"argument{place}")
            if value is not None:
                tensor = onnx.numpy_helper.from_array(np.array([value], np.int64), names[-1])
                model.graph.initializer.append(tensor)
        model.graph.node.append(node(operator, names, ["taken"], **attributes))

    return change


def two_faced_constant(model: Model, name: str) -> None:
    """Make a constant that is a whole number to one runtime and a tensor to another."""
    constant(model, name, -(2**63))
    attribute = model.graph.node[-1].attribute[0]
    attribute.t.CopyFrom(with_tensor(1))


def constant_with_a_stranger(model: Model) -> None:
    constant(model, "value_ints", [-1])
    model.graph.node[-1].attribute.append(helper.make_attribute("zz", with_tensor(1)))


def cast_twice(model: Model) -> None:
    item = node("Cast", ["image"], ["x"], to=TensorProto.FLOAT)
    item.attribute.append(helper.make_attribute("to", TensorProto.INT64))
    model.graph.node.append(item)


HIDDEN = helper.make_graph(
    [custom_node()], "hidden", [], [value_info("ran", TensorProto.UINT8, None)]
)
DIVIDES = "Div takes something else than a positive constant"
MILLION = onnx.TensorShapeProto.Dimension(dim_value=10**6)
ELSEWHERE = "TensorProto has (data_location|external_data), which inspectors never have"
SPARSE = "GraphProto has sparse_initializer"
ATTACKS: dict[str, tuple[Change, str]] = {
    # code and files from elsewhere
    "data_at_absolute_path": (lambda m: external(m, "/etc/passwd"), ELSEWHERE),
    "data_at_memory_address": (lambda m: external(m, "*/_ORT_MEM_ADDR_/*"), ELSEWHERE),
    "data_without_location": (
        lambda m: setattr(m.graph.initializer[0], "data_location", 1),
        ELSEWHERE,
    ),
    "custom_operator": (add(custom_node()), r"operator 'Run' of the domain 'evil\\n"),
    "custom_domain_imported": (
        lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "expected the standard operators of opset 18, found .*com.microsoft",
    ),
    "unknown_standard_operator": (add(node("Launch", ["image"], ["r"])), "operator 'Launch'"),
    "operator_without_name": (add(onnx.NodeProto(output=["r"])), "operator ''"),
    "custom_operator_in_if": (add(node("If", ["c"], ["ran"], then_branch=HIDDEN)), "'If'"),
    "subgraph_in_harmless_operator": (
        add(node("Relu", ["x"], ["r"], hidden=HIDDEN)),
        "attribute 'hidden' holds g,",
    ),
    "function": (function, "ModelProto has functions"),
    "training_graph": (lambda m: m.training_info.add(), "ModelProto has training_info"),
    "foreign_metadata": (
        lambda m: m.metadata_props.add(key="ort_config", value="{}"),
        "expected only sihwa.card as metadata, found .*'ort_config'",
    ),
    "two_cards": (
        lambda m: m.metadata_props.add(key="sihwa.card", value="{}"),
        "expected one card, found 2",
    ),
    # memory
    "tensor_huge_of_few_bytes": (
        lambda m: resize_tensor(m, 2**40, 2**20),
        "declares 4611686018427387904 bytes and has",
    ),
    "tensor_of_negative_length": (lambda m: resize_tensor(m, -1), "a tensor declares -"),
    "tensor_of_too_many_axes": (lambda m: resize_tensor(m, *[1] * 10**6), "of 1000000 axes"),
    "tensor_huge_in_attribute": (lambda m: constant(m, "value", with_tensor(2**50)), "declares"),
    "tensor_of_text": (
        lambda m: m.graph.initializer.add(data_type=TensorProto.STRING, string_data=[b"text"]),
        "TensorProto has string_data",
    ),
    "tensor_sparse": (lambda m: m.graph.sparse_initializer.append(sparse()), SPARSE),
    "tensor_sparse_in_attribute": (
        lambda m: constant(m, "sparse_value", sparse()),
        "'sparse_value' holds sparse_tensor",
    ),
    "evidence_huge": (
        lambda m: [axis.MergeFrom(MILLION) for axis in axes(m, "evidence")[2:]],
        "evidence must be a map of at most 64 × 64",
    ),
    "operators_without_end": (add(*[node("Neg", ["x"], ["y"])] * 10_001), "1 to 10000 operators"),
    # versions
    "opset_too_new": (lambda m: setattr(m.opset_import[0], "version", 99), "found .*99"),
    "opset_missing": (lambda m: m.ClearField("opset_import"), r"opset 18, found \[\]"),
    "opset_twice": (
        lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", OPSET)),
        "opset 18, found .*'ai.onnx'",
    ),
    "ir_version_too_new": (
        lambda m: setattr(m, "ir_version", 99),
        "onnxruntime refuses the graph.*IR version",
    ),
    # inputs and outputs
    "empty_graph": (lambda m: m.graph.ClearField("node"), "operators, found 0"),
    "no_graph": (lambda m: m.ClearField("graph"), "operators, found 0"),
    "input_missing": (lambda m: m.graph.ClearField("input"), "uses 'image' before that is made"),
    "input_twice": (lambda m: m.graph.input.append(m.graph.input[0]), "has 'image' twice"),
    "input_added": (
        lambda m: m.graph.input.append(value_info("more", TensorProto.FLOAT, [1])),
        r"found \['image', 'more'\]",
    ),
    "input_float": (
        lambda m: element(m, "image", TensorProto.FLOAT),
        r"image must be uint8 \(free, free, free, 3\).* float32",
    ),
    "input_of_one_size": (lambda m: setattr(axes(m, "image")[1], "dim_value", 9), "free, 9, free"),
    "input_no_tensor": (lambda m: m.graph.input[0].type.Clear(), r"image must be .* other \(\)"),
    "output_missing": (lambda m: m.graph.output.pop(), "expected .*'unknown'"),
    "output_renamed": (lambda m: rename(m, "probability", "p"), "found .*'p'"),
    "output_added": (
        lambda m: m.graph.output.append(value_info("image", TensorProto.UINT8, None)),
        "expected .* found .*'image'",
    ),
    "output_double": (
        lambda m: element(m, "probability", TensorProto.DOUBLE),
        "probability must be float32 .* float64",
    ),
    "output_of_other_classes": (
        lambda m: setattr(axes(m, "probability")[1], "dim_value", 4),
        r"probability must be float32 \(free, 3\) .* float32 \(free, 4\)",
    ),
    # what flows where: runtimes read these in different ways, or not at all
    "tensor_missing": (lambda m: m.graph.initializer.pop(), "uses '.*' before that is made"),
    "tensor_in_place_of_the_image": (
        lambda m: m.graph.initializer.append(
            helper.make_tensor("image", TensorProto.UINT8, [1, 1, 1, 3], b"abc", raw=True)
        ),
        "makes 'image' twice",
    ),
    "output_made_twice": (
        add(node("Neg", ["embedding"], ["probability"])),
        "makes 'probability' twice",
    ),
    "output_never_made": (lambda m: never_made(m, "unknown"), "uses 'unknown' before that is made"),
    "cycle_of_two": (
        add(node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])),
        "uses 'b' before that is made",
    ),
    "cycle_through_an_output": (cycle_through_unknown, "uses 'unknown' before that is made"),
    # arguments that end a process
    "divides_integers_by_minus_one": (lambda m: divide(m, -1), DIVIDES),
    "divides_integers_by_zero": (lambda m: divide(m, 0), DIVIDES),
    "divides_integers_by_a_computed_number": (lambda m: divide(m, 7, "Neg"), DIVIDES),
    "constant_of_two_kinds": (
        lambda m: two_faced_constant(m, "value_int"),
        "attribute 'value_int' holds i, t",
    ),
    "constant_beside_another": (constant_with_a_stranger, "something else than one tensor"),
    "constant_without_a_tensor": (lambda m: constant(m, "value_int", 1), "than one tensor"),
    "attribute_twice": (cast_twice, "has an attribute twice"),
    "pads_below_zero": (
        argument("Pad", None, -1, mode="edge"),
        "Pad takes something else than a constant of zero or more",
    ),
    "pads_that_are_computed": (argument("Pad", 1, None), "Pad takes something else"),
    "step_that_is_computed": (
        argument("Slice", 1, 0, 1, 0, None),
        "Slice takes something else than a positive constant",
    ),
    "step_below_zero": (argument("Slice", None, 0, 1, 0, -(2**63)), "Slice takes"),
    "step_of_zero": (argument("Range", 0, 9, 0), "Range takes something else than"),
    "step_of_zero_that_is_computed": (argument("Range", 0, 9, None), "Range takes"),
    "axes_that_are_computed": (argument("ReduceSum", 1, None), "ReduceSum takes"),
    "norm_of_an_empty_map": (add(node("InstanceNormalization", ["x"], ["y"])), "'Instance"),
    "reads_beyond_a_tensor": (add(node("GatherND", ["image", "i"], ["x"])), "operator 'GatherND'"),
}


@pytest.mark.parametrize(("change", "reason"), ATTACKS.values(), ids=list(ATTACKS))
def test_load_inspector_hostile_graph_is_refused(
    tiny_bundle: Path, change: Change, reason: str
) -> None:
    forge_model(tiny_bundle, change)
    refuse(tiny_bundle, reason)


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(encode_field(7 + 2**29, b""), id="graph behind a number of 35 bits"),
        pytest.param(encode_field(99, b"x"), id="field that ONNX does not have"),
        pytest.param(encode_field(7, b""), id="graph twice"),
        pytest.param(encode_field(5, b"a") + encode_field(5, b"b"), id="text twice"),
    ],
)
def test_load_inspector_hidden_field_is_refused(tiny_bundle: Path, hidden: bytes) -> None:
    """Runtimes could find another graph in such a file than was checked."""
    forge(tiny_bundle, graph_of(tiny_bundle) + hidden)
    refuse(tiny_bundle, "it holds unknown fields, or a field twice|not an ONNX file")


def test_load_inspector_newer_format_with_newer_graph_names_the_version(tiny_bundle: Path) -> None:
    model = onnx.load_from_string(graph_of(tiny_bundle))
    model.opset_import[0].version = 20
    model.metadata_props.add(key="more", value="x")
    newer = FORMAT_VERSION + 1
    forge(tiny_bundle, model.SerializeToString(), lambda card: card.update(format_version=newer))
    refuse(tiny_bundle, f"format version {newer} is newer than this program reads")
