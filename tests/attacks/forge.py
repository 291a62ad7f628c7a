"""Inspectors made by someone who knows the format: every hash fits what was put in."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from sihwa.errors import InvalidInspector
from sihwa.inspector import load_inspector
from sihwa.inspector.graph_file import append_card

Json = dict[str, Any]
FILES = (
    "inspector.onnx", "weights.safetensors", "README.md", "inspector.int8.onnx", "images.zip",
    "inspector.fixed.onnx", "calibration.parquet",
)  # fmt: skip
_NOT_IDENTITY = ("id", "created", "environment", "proof", "fixed_size")


def canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def encode_field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer, of known length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    more, last = divmod(number, 128)
    return bytes([last]) if more == 0 else bytes([last | 128]) + _varint(more)


def graph_of(folder: Path) -> bytes:
    """Return the graph without its card."""
    card = json.loads((folder / "card.json").read_bytes())
    return (folder / "inspector.onnx").read_bytes()[: card["graph"]["bytes"]]


def refuse(path: Path, reason: str, file: str = "", runtime: str = "auto") -> None:
    """Check that loading ends with one printable line that names the file and the reason."""
    with pytest.raises(InvalidInspector, match=reason) as caught:
        load_inspector(path, runtime=runtime)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    assert message.startswith(str(path / file))


def forge(
    folder: Path, graph: bytes | None = None, change: Callable[[Json], Any] | None = None
) -> None:
    """Put another graph into an inspector, change its card, and make all hashes fit again."""
    graph = graph_of(folder) if graph is None else graph
    card = json.loads((folder / "card.json").read_bytes())
    del card["files"]
    card["graph"].update(sha256=hashlib.sha256(graph).hexdigest(), bytes=len(graph))
    weights = (folder / "weights.safetensors").read_bytes()
    card["weights"].update(sha256=hashlib.sha256(weights).hexdigest())
    if change is not None:
        change(card)
    identity = {key: value for key, value in card.items() if key not in _NOT_IDENTITY}
    digest = hashlib.sha256(canonical(identity).encode(errors="surrogatepass"))
    text = canonical({**card, "id": digest.hexdigest()[:16]})
    (folder / "inspector.onnx").write_bytes(append_card(graph, text))
    (folder / "card.json").write_text(text, "utf-8")
    reseal(folder)


def put(*path: str | int, to: object) -> Callable[[Json], None]:
    """Return a change that sets the value at a path of keys."""

    def change(content: Any) -> None:  # noqa: ANN401 -- any JSON
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = to

    return change


def forge_text(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the text of the card in the graph, which need not remain a text."""
    graph = graph_of(folder)
    card = json.loads((folder / "card.json").read_bytes())
    del card["files"]
    entry = encode_field(1, b"sihwa.card") + encode_field(2, change(canonical(card).encode()))
    (folder / "inspector.onnx").write_bytes(graph + encode_field(14, entry))


def forge_model(folder: Path, change: Callable[[onnx.ModelProto], Any]) -> None:
    """Change the graph, and make all hashes fit again."""
    model = onnx.load_from_string(graph_of(folder))
    change(model)
    forge(folder, model.SerializeToString(deterministic=True))


def reseal(folder: Path) -> None:
    """Make the hashes in card.json those of the files, as they are now."""
    card = json.loads((folder / "card.json").read_bytes())
    contents = {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    card["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in contents.items()
    }
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def external(model: onnx.ModelProto, location: str) -> None:
    """Let the first tensor live in another file."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def custom_node() -> onnx.NodeProto:
    """Return an operator that only its maker's library knows; its name clears a terminal."""
    return helper.make_node("Run", ["image"], ["ran"], domain="evil\n\x1b[2J")
