"""The inspector on disk: a folder of a graph, weights and card, or the graph alone.

inspector/
├── inspector.onnx        the graph, with the card in its metadata: enough by itself
├── weights.safetensors   the network for PyTorch: a GPU, or training on
├── card.json             the card again, for readers without ONNX, with every part's SHA-256
└── README.md             the model card, for people
"""

import json
from dataclasses import dataclass
from pathlib import Path

from sihwa.errors import InvalidInspector
from sihwa.inspector.card import Card, read_card
from sihwa.inspector.graph_file import MAX_BYTES, append_card, read_graph_file
from sihwa.inspector.inspector import Inspector
from sihwa.inspector.model_card import model_card
from sihwa.inspector.runtime import RuntimeChoice, create_runtime, installed_choices
from sihwa.storage import sha256_of_bytes, write_bytes, write_text

__all__ = ["GRAPH_NAME", "WEIGHTS_NAME", "load_inspector", "read_bundle", "write_bundle"]

GRAPH_NAME = "inspector.onnx"
WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "card.json"
README_NAME = "README.md"
_MAX_CARD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Bundle:
    """A checked inspector file: its card and the whole ONNX file."""

    card: Card
    graph: bytes


def write_bundle(folder: Path, card: Card, graph: bytes, weights: bytes) -> None:
    """Write an inspector folder; card.json comes last, so a folder that has it is whole.

    Args:
        folder: Made when missing.
        card: Its `graph` facts must be those of `graph`.
        graph: The ONNX graph without metadata.
        weights: The network's tensors as safetensors.

    Raises:
        InvalidInspector: The card breaks its schema.
        StorageError: The disk refuses.
    """
    parts = {
        GRAPH_NAME: append_card(graph, card.as_json()),
        WEIGHTS_NAME: weights,
        README_NAME: model_card(card).encode(),
    }
    for name, content in parts.items():
        write_bytes(folder / name, content)
    facts = {
        name: {"sha256": sha256_of_bytes(content), "bytes": len(content)}
        for name, content in parts.items()
    }
    text = json.dumps({**card.as_dict(), "parts": facts}, ensure_ascii=False, indent=2)
    write_text(folder / CARD_NAME, text + "\n")


def read_bundle(path: Path) -> Bundle:
    """Read and check an inspector folder, or its .onnx file alone.

    Raises:
        InvalidInspector: Missing, damaged, tampered with, foreign or too new.
    """
    graph_path = path / GRAPH_NAME if path.is_dir() else path
    content = _read(graph_path, MAX_BYTES)
    file = read_graph_file(content, str(graph_path))
    card = read_card(file.card, str(graph_path))
    _check_graph(card, file.opset, content, graph_path)
    if path.is_dir():
        _check_folder(path, card, content)
    return Bundle(card, content)


def load_inspector(
    path: str | Path,
    runtime: str = "auto",
    device: str = "cpu",
    precision: str = "auto",
    threads: int = 0,
) -> Inspector:
    """Load an inspector, checked, into a runtime.

    Args:
        path: The inspector folder, or its .onnx file.
        runtime: `auto`, `onnxruntime` or `openvino`.
        device: `cpu`.
        precision: `auto` or `fp32`, and what else the runtime offers.
        threads: Threads of one inference; 0 lets the runtime decide.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or too new.
        RuntimeUnavailable: The runtime is unknown or not installed.
    """
    bundle = read_bundle(Path(path))
    choice, reason = _choose(runtime, device, precision)
    loaded = create_runtime(bundle.graph, choice, threads)
    return Inspector(bundle.card, loaded, f"{choice} ({reason})")


def _choose(runtime: str, device: str, precision: str) -> tuple[RuntimeChoice, str]:
    exact = "fp32" if precision == "auto" else precision
    if runtime != "auto":
        return RuntimeChoice(runtime, device, exact), "asked for"
    for choice in installed_choices(device):
        if choice.precision == exact:
            return choice, "the reference"
    return RuntimeChoice("onnxruntime", device, exact), "the reference"


def _check_graph(card: Card, opset: int, content: bytes, path: Path) -> None:
    length = card.graph["bytes"]
    if length >= len(content) or sha256_of_bytes(content[:length]) != card.graph["sha256"]:
        raise InvalidInspector(
            f"{path}: the graph was changed after it was written: its SHA-256 is not the card's. "
            "Copy the inspector again"
        )
    if append_card(content[:length], read_graph_file(content, str(path)).card) != content:
        raise InvalidInspector(f"{path}: something besides the card was added after the graph")
    if opset != card.graph["opset"]:
        raise InvalidInspector(
            f"{path}: the graph says opset {opset}, its card {card.graph['opset']}"
        )


def _check_folder(folder: Path, card: Card, graph: bytes) -> None:
    """Check that card.json says what the graph says and that its parts are what it lists."""
    path = folder / CARD_NAME
    text = _read(path, _MAX_CARD_BYTES).decode("utf-8", errors="replace")
    try:
        beside = json.loads(text)
        parts = beside.pop("parts")
        listed = parts[GRAPH_NAME]["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInspector(f"{path}: not the card of an inspector folder") from error
    if beside != json.loads(card.as_json()):
        raise InvalidInspector(f"{path}: it says something else than the card in {GRAPH_NAME}")
    if listed != sha256_of_bytes(graph):
        raise InvalidInspector(f"{folder / GRAPH_NAME}: its SHA-256 is not the one in {CARD_NAME}")


def _read(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise InvalidInspector(
                f"{path}: expected an inspector folder (with {GRAPH_NAME}) or its .onnx file; "
                f"found {'a special file' if path.exists() else 'nothing'}"
            )
        size = path.stat().st_size
        if size > limit:
            raise InvalidInspector(f"{path}: {size} bytes are more than the {limit} allowed")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInspector(f"{path}: cannot be read: {error.strerror}") from error
