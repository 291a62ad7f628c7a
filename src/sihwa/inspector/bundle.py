"""The inspector on disk: a folder of a graph, weights and card, or the graph alone.

inspector/
├── inspector.onnx        the graph, with the card in its metadata: enough by itself
├── weights.safetensors   the network for PyTorch: a GPU, or training on
├── card.json             the card again, for readers without ONNX, with every part's SHA-256
└── README.md             the model card, for people
"""

import json
import stat
from dataclasses import dataclass
from pathlib import Path

from sihwa.errors import InvalidInspector
from sihwa.inspector.card import MAX_CARD_BYTES, Card, parse_json, read_card
from sihwa.inspector.graph_file import MAX_BYTES, OPSET, GraphFile, append_card, read_graph_file
from sihwa.inspector.inspector import Inspector
from sihwa.inspector.model_card import model_card
from sihwa.inspector.runtime import RuntimeChoice, create_runtime, installed_choices
from sihwa.inspector.signature import check_signature, try_out
from sihwa.inspector.weights_file import check_weights_file
from sihwa.storage import new_folder, sha256_of_bytes, sha256_of_file, write_bytes, write_json

__all__ = ["GRAPH_NAME", "WEIGHTS_NAME", "load_inspector", "read_bundle", "write_bundle"]

GRAPH_NAME = "inspector.onnx"
WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "card.json"
README_NAME = "README.md"
_PARTS = (GRAPH_NAME, WEIGHTS_NAME, README_NAME)


@dataclass(frozen=True)
class Bundle:
    """A checked inspector file: its card and the whole ONNX file."""

    card: Card
    graph: bytes


def write_bundle(folder: Path, card: Card, graph: bytes, weights: bytes) -> None:
    """Write an inspector folder, whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        card: Its `graph` facts must be those of `graph`.
        graph: The ONNX graph without metadata.
        weights: The network's tensors as safetensors.

    Raises:
        InvalidInspector: It could not be read back: the card breaks its schema, or the graph
            holds what `read_graph_file` refuses. Nothing is written.
        StorageError: The disk refuses.
    """
    parts = {
        GRAPH_NAME: append_card(graph, card.as_json()),
        WEIGHTS_NAME: weights,
        README_NAME: model_card(card).encode(),
    }
    check_signature(card, read_graph_file(parts[GRAPH_NAME], GRAPH_NAME), GRAPH_NAME)
    facts = {
        name: {"sha256": sha256_of_bytes(content), "bytes": len(content)}
        for name, content in parts.items()
    }
    with new_folder(folder) as temporary:
        for name, content in parts.items():
            write_bytes(temporary / name, content)
        write_json(temporary / CARD_NAME, {**card.as_dict(), "parts": facts})


def read_bundle(path: Path) -> Bundle:
    """Read and check an inspector folder, or its .onnx file alone.

    Raises:
        InvalidInspector: Missing, damaged, tampered with, foreign or too new.
    """
    is_folder = path.is_dir()
    if is_folder:
        _check_names(path)
    graph_path = path / GRAPH_NAME if is_folder else path
    content = _read(graph_path, MAX_BYTES)
    file = read_graph_file(content, str(graph_path))
    card = read_card(file.card, str(graph_path))
    _check_seal(card, file, content, graph_path)
    check_signature(card, file, str(graph_path))
    if is_folder:
        _check_parts(path, card)
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
    try:
        loaded = create_runtime(bundle.graph, choice, threads)
        try_out(bundle.card, loaded)
    except InvalidInspector as error:
        raise InvalidInspector(f"{path}: {error}") from error
    return Inspector(bundle.card, loaded, f"{choice} ({reason})")


def _choose(runtime: str, device: str, precision: str) -> tuple[RuntimeChoice, str]:
    exact = "fp32" if precision == "auto" else precision
    if runtime != "auto":
        return RuntimeChoice(runtime, device, exact), "asked for"
    for choice in installed_choices(device):
        if choice.precision == exact:
            return choice, "the reference"
    return RuntimeChoice("onnxruntime", device, exact), "the reference"


def _check_seal(card: Card, file: GraphFile, content: bytes, path: Path) -> None:
    """Check that the file is the graph that the card was written for, the card, and no more."""
    length = card.graph["bytes"]
    if length >= len(content) or sha256_of_bytes(content[:length]) != card.graph["sha256"]:
        raise InvalidInspector(
            f"{path}: the graph was changed after it was written: its SHA-256 is not the card's. "
            "Copy the inspector again"
        )
    if content[length:] != append_card(b"", file.card):
        raise InvalidInspector(f"{path}: something besides the card was added after the graph")
    if card.graph["opset"] != OPSET:
        raise InvalidInspector(
            f"{path}: the graph says opset {OPSET}, its card {card.graph['opset']}"
        )


def _check_names(folder: Path) -> None:
    """Check that all parts of an inspector folder are plain files; others are not read."""
    try:
        found = {entry.name: entry.lstat().st_mode for entry in folder.iterdir()}
    except OSError as error:
        raise InvalidInspector(f"{folder}: cannot be read: {error.strerror}") from error
    for name in (*_PARTS, CARD_NAME):
        if name not in found:
            raise InvalidInspector(
                f"{folder}: expected an inspector folder, found no {name} in it. Copy the whole "
                f"folder, or use {GRAPH_NAME} alone, which is enough"
            )
        if not stat.S_ISREG(found.pop(name)):
            raise InvalidInspector(
                f"{folder / name}: expected a plain file, found a folder, a link or a special "
                "file. Copy the inspector with its links followed"
            )


def _check_parts(folder: Path, card: Card) -> None:
    """Check that card.json says what the graph's card says and that the parts are as it lists."""
    path = folder / CARD_NAME
    beside = parse_json(_read(path, MAX_CARD_BYTES), str(path))
    parts = beside.pop("parts", None)
    if beside != json.loads(card.as_json()):
        raise InvalidInspector(
            f"{path}: it says something else than the card in {GRAPH_NAME}. Copy both again"
        )
    if not isinstance(parts, dict) or parts.keys() != set(_PARTS):
        raise InvalidInspector(f"{path}: parts: expected the SHA-256 of {', '.join(_PARTS)}")
    for name in _PARTS:
        _check_part(folder / name, parts[name])
    check_weights_file(folder / WEIGHTS_NAME)


def _check_part(path: Path, said: object) -> None:
    try:
        size = path.stat().st_size
        # a file of another length is not worth the time that hashing it takes
        same_length = isinstance(said, dict) and said.get("bytes") == size <= MAX_BYTES
        if same_length and said == {"bytes": size, "sha256": sha256_of_file(path)}:
            return
    except OSError as error:
        raise InvalidInspector(f"{path}: cannot be read: {error.strerror}") from error
    raise InvalidInspector(
        f"{path}: changed after it was written: its length or SHA-256 is not the one in "
        f"{CARD_NAME}. Copy the inspector again"
    )


def _read(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise InvalidInspector(
                f"{path}: expected an inspector folder (with {GRAPH_NAME}) or its .onnx file; "
                f"found {'a special file' if path.exists() else 'nothing'}"
            )
        size = path.stat().st_size
        if size > limit:
            raise InvalidInspector(
                f"{path}: {size} bytes are more than the {limit} that an inspector may have"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise InvalidInspector(f"{path}: cannot be read: {error}") from error
