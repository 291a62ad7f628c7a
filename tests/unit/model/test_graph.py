import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from sihwa.model import Network, Prediction, create_network, export_graph
from tests.helpers import CLASSES, random_images, tiny_config

SIZES = [(60, 50), (64, 64), (200, 300), (1, 1), (7, 500)]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("library", ["onnxruntime", "openvino"])
def test_export_graph_any_size_equals_the_network(
    tiny_network: Network, tiny_graph: bytes, library: str, height: int, width: int
) -> None:
    image = random_images(3, height, width)
    with torch.no_grad():
        expected = tiny_network(torch.from_numpy(image))
    if library == "onnxruntime":
        outputs = onnxruntime.InferenceSession(tiny_graph).run(None, {"image": image})
    else:
        core = openvino.Core()
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(tiny_graph), "CPU", exact)
        outputs = list(compiled(image).values())
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4)


def test_export_graph_twice_gives_the_same_bytes(tiny_network: Network, tiny_graph: bytes) -> None:
    assert export_graph(tiny_network) == tiny_graph


def test_export_graph_holds_no_path_of_this_machine(tiny_graph: bytes) -> None:
    assert b"site-packages" not in tiny_graph
    assert b"network.py" not in tiny_graph


def test_export_graph_declares_free_sizes_and_its_outputs(tiny_graph: bytes) -> None:
    graph = onnx.load_from_string(tiny_graph).graph
    shape = [axis.dim_param or axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["N", "H", "W", 3]
    assert tuple(output.name for output in graph.output) == Prediction._fields
    # runtimes disagree on the antialiased Resize: see docs/decisions/0001-resize-as-matrices.md
    assert "Resize" not in {node.op_type for node in graph.node}


def _run_graph(network: Network, image: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(export_graph(network))
    outputs: list[np.ndarray] = session.run(None, {"image": image})
    return outputs


def test_export_graph_writes_every_value_after_the_backbone(tiny_network: Network) -> None:
    # the session's fixtures exported another end of this backbone already: this one reuses that
    network = create_network(tiny_config(), len(CLASSES), seed=0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not name.startswith(("backbone", "preprocessing")):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        image = random_images(4, 60, 50)
        expected = network(torch.from_numpy(image))
    for ours, theirs in zip(_run_graph(network, image), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4, rtol=1e-4)


def test_export_graph_of_a_changed_backbone_is_new() -> None:
    network = create_network(tiny_config(), len(CLASSES), seed=0)
    image = random_images(2, 60, 50)
    before = _run_graph(network, image)
    with torch.no_grad():
        next(network.backbone.parameters()).mul_(1.5)
        expected = network(torch.from_numpy(image))
    after = _run_graph(network, image)
    np.testing.assert_allclose(after[2], expected.embedding.numpy(), atol=2e-4)
    assert np.abs(after[2] - before[2]).max() > 1e-2


def test_export_graph_leaves_the_network_as_it_was() -> None:
    network = create_network(tiny_config(), len(CLASSES), seed=0)
    flags = [getattr(part, "inplace", None) for part in network.modules()]
    export_graph(network)
    assert [getattr(part, "inplace", None) for part in network.modules()] == flags
    assert True in flags


def test_export_graph_group_norms_are_arithmetic_that_any_size_may_pass() -> None:
    """ONNX Runtime reads beyond an empty map in the operator that the exporter would take."""
    network = create_network(tiny_config(architecture="resnetv2_50x1_bit"), 3, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    graph = export_graph(network)
    operators = {node.op_type for node in onnx.load_from_string(graph).graph.node}
    assert "InstanceNormalization" not in operators
    image = random_images(2, 60, 50)
    with torch.no_grad():
        expected = network(torch.from_numpy(image))
    outputs = onnxruntime.InferenceSession(graph).run(["embedding"], {"image": image})
    scale = float(expected.embedding.abs().max())
    np.testing.assert_allclose(outputs[0] / scale, expected.embedding / scale, atol=2e-4)
