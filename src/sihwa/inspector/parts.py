"""The parts of an inspector, by name, and what is read of them.

inspector/
├── inspector.onnx        the graph, with the card in its metadata: enough by itself
├── weights.safetensors   the network for PyTorch: a GPU, or training on
├── card.json             the card again, for readers without ONNX, with every part's SHA-256
├── README.md             the model card, for people
├── inspector.int8.onnx   the graph in 8-bit integers, if it was asked for and kept
└── images.zip          some calibration images, for `sihwa verify`, unless refused
"""

from dataclasses import dataclass

from sihwa.inspector.card import Card

GRAPH_NAME = "inspector.onnx"
WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "card.json"
README_NAME = "README.md"
INT8_NAME = "inspector.int8.onnx"
IMAGES_NAME = "images.zip"
PARTS = (GRAPH_NAME, WEIGHTS_NAME, README_NAME)
OPTIONAL_PARTS = (INT8_NAME, IMAGES_NAME)


@dataclass(frozen=True)
class Bundle:
    """A checked inspector in memory.

    Attributes:
        card: What it is, may decide and was proven to do.
        graph: The whole ONNX file.
        weights: The network's tensors as safetensors; None where only the graph is at hand.
        int8_model: An ONNX file without a card; None where there is none.
    """

    card: Card
    graph: bytes
    weights: bytes | None = None
    int8_model: bytes | None = None
