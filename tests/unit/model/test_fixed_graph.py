"""The graph for one resized image, in the runtimes that it is made for."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sihwa.inspector.graph_file import check_graph, parse_graph
from sihwa.model import Network, Prediction, create_network, export_fixed_graph
from tests.helpers import random_images, tiny_config

Array = NDArray[np.float32]
Outputs = list[Array]


@pytest.fixture(scope="module")
def fixed_graph(tiny_network: Network) -> bytes:
    return export_fixed_graph(tiny_network)


def run_onnxruntime(graph: bytes, pixels: Array) -> Outputs:
    outputs: Outputs = onnxruntime.InferenceSession(graph).run(None, {"pixels": pixels})
    return outputs


def run_opencv(graph: bytes, pixels: Array) -> Outputs:
    network = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))
    network.setInput(pixels, "pixels")
    return [np.array(value, np.float32) for value in network.forward(list(Prediction._fields))]


@pytest.mark.parametrize("run", [run_onnxruntime, run_opencv])
def test_export_fixed_graph_resized_image_equals_the_network(
    tiny_network: Network, fixed_graph: bytes, run: Callable[[bytes, Array], Outputs]
) -> None:
    for image in torch.from_numpy(random_images(4, 97, 53)):
        with torch.no_grad():
            expected = tiny_network(image[None])
            pixels = tiny_network.preprocessing.resize(image[None]).numpy()
        for ours, theirs in zip(run(fixed_graph, pixels), expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy().reshape(ours.shape), atol=2e-4)


def test_export_fixed_graph_declares_fixed_shapes_only(fixed_graph: bytes) -> None:
    ports = check_graph(parse_graph(fixed_graph, ""), len(fixed_graph), "", with_card=False)
    assert {name: port.shape for name, port in ports.inputs.items()} == {"pixels": (1, 3, 64, 64)}
    assert {name: port.shape for name, port in ports.outputs.items()} == {
        "probability": (1, 3),
        "evidence": (1, 3, 2, 2),
        "embedding": (1, 256),
        "unknown": (1, 1),
    }
    assert {port.element for port in (*ports.inputs.values(), *ports.outputs.values())} == {
        "float32"
    }


def test_export_fixed_graph_hard_swish_and_rectangle_equal_opencv() -> None:
    network = create_network(tiny_config(input_size=[64, 96], stages=2), 3)
    blocks: Any = network.backbone.blocks
    for block in blocks.modules():
        if isinstance(getattr(block, "act", None), nn.SiLU):
            block.act = nn.Hardswish()
    blocks[3][0].se.gate = nn.Hardsigmoid()
    graph = export_fixed_graph(network)
    assert not {"HardSwish", "HardSigmoid"} & {
        node.op_type for node in onnx.load_from_string(graph).graph.node
    }
    image = torch.from_numpy(random_images(1, 64, 96))
    with torch.no_grad():
        expected = network(image)
    pixels = image.permute(0, 3, 1, 2).to(torch.float32).numpy()
    for ours, theirs in zip(run_opencv(graph, pixels), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy().reshape(ours.shape), atol=1e-5)
