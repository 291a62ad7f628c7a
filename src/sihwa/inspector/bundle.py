"""The inspector on disk: a folder of parts (see `sihwa.inspector.parts`), or the graph alone."""

import json
import stat
from pathlib import Path

import msgspec

from sihwa.errors import InvalidInspector
from sihwa.inspector.card import (
    MAX_CARD_BYTES,
    Card,
    Facts,
    Sha256,
    parse_json,
    printable,
    read_card,
)
from sihwa.inspector.choice import choose_runtime
from sihwa.inspector.graph_file import (
    MAX_BYTES,
    OPSET,
    append_card,
    check_graph,
    find_card,
    parse_graph,
)
from sihwa.inspector.inspector import Inspector
from sihwa.inspector.model_card import model_card
from sihwa.inspector.onnx_messages import ModelProto
from sihwa.inspector.parts import (
    CARD_NAME,
    GRAPH_NAME,
    IMAGES_NAME,
    INT8_NAME,
    OPTIONAL_PARTS,
    PARTS,
    README_NAME,
    WEIGHTS_NAME,
    Bundle,
)
from sihwa.inspector.runtime import create_runtime
from sihwa.inspector.runtime_choice import RuntimeChoice
from sihwa.inspector.signature import check_signature, try_out
from sihwa.inspector.verification import Verification, read_verification
from sihwa.storage import new_folder, sha256_of_bytes, write_bytes, write_json


class PartFacts(Facts, frozen=True, kw_only=True):
    """What card.json holds of another part."""

    sha256: Sha256
    bytes: int


def write_bundle(folder: Path, bundle: Bundle, images: bytes | None = None) -> None:
    """Write an inspector folder, whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        bundle: The card, whose `graph` and `int8` facts must be those of the graph and the
            INT8 model; the ONNX graph without metadata; the network's tensors as safetensors.
        images: A .zip of images to verify the inspector with.

    Raises:
        InvalidInspector: It could not be read back. Nothing is written.
        StorageError: The disk refuses.
    """
    card = bundle.card
    given = {
        GRAPH_NAME: append_card(bundle.graph, card.as_json()),
        WEIGHTS_NAME: bundle.weights,
        README_NAME: model_card(card, has_images=images is not None).encode(),
        INT8_NAME: bundle.int8_model,
        IMAGES_NAME: images,
    }
    parts = {name: content for name, content in given.items() if content is not None}
    graph = parts[GRAPH_NAME]
    _check_graph(card, parse_graph(graph, GRAPH_NAME), len(graph), GRAPH_NAME)
    _check_weights(card, bundle.weights, WEIGHTS_NAME)
    _check_int8_model(card, bundle.int8_model, INT8_NAME)
    facts = {name: _facts(content) for name, content in parts.items()}
    with new_folder(folder) as temporary:
        for name, content in parts.items():
            write_bytes(temporary / name, content)
        write_json(temporary / CARD_NAME, {**card.as_dict(), "parts": msgspec.to_builtins(facts)})


def read_bundle(path: Path) -> Bundle:
    """Read and check an inspector folder, or its .onnx file alone.

    Raises:
        InvalidInspector: Missing, damaged, tampered with, foreign or of another version.
    """
    try:
        is_folder = path.is_dir()
    except OSError as error:  # a folder above it may be closed
        raise InvalidInspector(f"{path}: {error.strerror}") from error
    if is_folder:
        _check_names(path)
    graph_path = path / GRAPH_NAME if is_folder else path
    where = str(graph_path)
    content = _read(graph_path, MAX_BYTES)
    model = parse_graph(content, where)
    # the card first: a later format may allow a later graph, and then its version is what matters
    text = find_card(model, where)
    card = read_card(text, where)
    _check_seal(card, text, content, where)
    _check_graph(card, model, len(content), where)
    if not is_folder:
        return Bundle(card, content)
    parts = _read_parts(path, card)
    _check_weights(card, parts[WEIGHTS_NAME], str(path / WEIGHTS_NAME))
    _check_int8_model(card, parts.get(INT8_NAME), str(path / INT8_NAME))
    return Bundle(card, content, parts[WEIGHTS_NAME], parts.get(INT8_NAME))


def load_inspector(
    path: str | Path,
    runtime: str = "auto",
    device: str = "cpu",
    precision: str = "auto",
    threads: int = 0,
    batch_size: int = 1,
) -> Inspector:
    """Check an inspector and load it into a runtime.

    `auto` becomes the fastest combination that was proven to decide on this machine as the trained
    network does: by `sihwa verify`, or at export on a machine of the same processor and versions.
    Where no combination was proven, it becomes float32 in ONNX Runtime, the reference.

    Args:
        path: The inspector folder, or its .onnx file.
        runtime: `auto`, `onnxruntime`, `openvino` or `torch`.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `auto`, `fp32`, `bf16`, `fp16` or `int8`. A lower precision than float32, asked
            for by name, must be proven here.
        threads: Threads of one inference; 0 lets the runtime decide.
        batch_size: Images that will come at once; `auto` takes the fastest for that.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or of another version.
        ConfigError: There is no runtime, device or precision of that name.
        RuntimeUnavailable: The runtime is not installed, or refused by its proof.
    """
    bundle = read_bundle(Path(path))
    verification = read_verification(Path(path), bundle)
    try:
        asked = RuntimeChoice(runtime, device, precision)
        return open_bundle(bundle, verification, asked, threads=threads, batch_size=batch_size)
    except InvalidInspector as error:
        raise InvalidInspector(f"{path}: {error}") from error


def open_bundle(
    bundle: Bundle,
    verification: Verification,
    asked: RuntimeChoice,
    *,
    threads: int = 0,
    batch_size: int = 1,
) -> Inspector:
    """Load an inspector that was read already, perhaps on another machine.

    Args:
        bundle: The inspector, checked.
        verification: What was verified of it; proofs of other processors than this do not count.
        asked: Runtime, device and precision, each as in `load_inspector`.
        threads: Threads of one inference; 0 lets the runtime decide.
        batch_size: Images that will come at once.

    Raises:
        InvalidInspector: The runtime finds it to be none.
        ConfigError: As in `load_inspector`.
        RuntimeUnavailable: As there.
    """
    choice, reason = choose_runtime(
        bundle, verification, asked.runtime, asked.device, asked.precision, batch_size
    )
    loaded = create_runtime(bundle, choice, threads)
    try_out(bundle.card, loaded)
    return Inspector(bundle.card, loaded, f"{choice} ({reason})")


def _facts(content: bytes) -> PartFacts:
    return PartFacts(sha256=sha256_of_bytes(content), bytes=len(content))


def _check_seal(card: Card, text: str, content: bytes, where: str) -> None:
    """Check that the file is the graph that the card was written for, the card, and no more."""
    length = card.graph.bytes
    if length >= len(content) or sha256_of_bytes(content[:length]) != card.graph.sha256:
        raise InvalidInspector(
            f"{where}: the graph was changed after it was written: its SHA-256 is not the card's. "
            "Copy the inspector again"
        )
    if content[length:] != append_card(b"", text):
        raise InvalidInspector(f"{where}: something besides the card was added after the graph")
    if card.graph.opset != OPSET:
        raise InvalidInspector(
            f"{where}: the graph has opset {OPSET}, its card says {card.graph.opset}"
        )


def _check_graph(
    card: Card, model: ModelProto, length: int, where: str, *, with_card: bool = True
) -> None:
    """Check what a graph holds, and that it takes and gives what the card says."""
    check_signature(card, check_graph(model, length, where, with_card=with_card), where)


def _check_weights(card: Card, weights: bytes | None, where: str) -> None:
    """Check that the tensors are those that the card was written for."""
    if weights is None or sha256_of_bytes(weights) != card.weights.sha256:
        raise InvalidInspector(
            f"{where}: expected the weights whose SHA-256 the card in {GRAPH_NAME} gives, found "
            "others. Copy the inspector again"
        )


def _check_int8_model(card: Card, int8_model: bytes | None, where: str) -> None:
    """Check that the INT8 model is the one that the card was written for, and as harmless."""
    found = None if int8_model is None else (sha256_of_bytes(int8_model), len(int8_model))
    expected = card.int8 and (card.int8.sha256, card.int8.bytes)
    if found != expected:
        raise InvalidInspector(
            f"{where}: expected {'the' if expected else 'no'} INT8 model that the card in "
            f"{GRAPH_NAME} names, found {'another or none' if expected else 'one'}. Copy the "
            "inspector again"
        )
    if int8_model is not None:
        model = parse_graph(int8_model, where)
        _check_graph(card, model, len(int8_model), where, with_card=False)


def _check_names(folder: Path) -> None:
    """Check that all parts of an inspector folder are plain files; others are not read."""
    try:
        found = {entry.name: entry.lstat().st_mode for entry in folder.iterdir()}
    except OSError as error:
        raise InvalidInspector(f"{folder}: cannot be read: {error.strerror}") from error
    for name in (*PARTS, CARD_NAME, *OPTIONAL_PARTS):
        if name not in found and name in OPTIONAL_PARTS:
            continue
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


def _read_parts(folder: Path, card: Card) -> dict[str, bytes]:
    """Read the parts that card.json lists; check it against the graph's card, and them by it."""
    path = folder / CARD_NAME
    content = parse_json(_read(path, MAX_CARD_BYTES), str(path))
    listed = content.pop("parts", None)
    if content != json.loads(card.as_json()):
        raise InvalidInspector(f"{path}: it differs from the card in {GRAPH_NAME}. Copy both again")
    try:
        parts = msgspec.convert(listed, dict[str, PartFacts])
    except msgspec.ValidationError as error:
        raise InvalidInspector(f"{path}: parts: {printable(error)}") from error
    if not {*PARTS} <= parts.keys() <= {*PARTS, *OPTIONAL_PARTS}:
        raise InvalidInspector(f"{path}: parts: expected the SHA-256 of {', '.join(PARTS)}")
    for name in OPTIONAL_PARTS:
        if name not in parts and (folder / name).exists():
            raise InvalidInspector(
                f"{folder / name}: {CARD_NAME} does not list it, so it is not of this inspector. "
                "Remove it, or copy the inspector again"
            )
    return {name: _read_part(folder / name, facts) for name, facts in parts.items()}


def _read_part(path: Path, facts: PartFacts) -> bytes:
    if not path.exists():
        raise InvalidInspector(f"{path}: missing, but {CARD_NAME} lists it. Copy the whole folder")
    # a file of another length is not worth the time that reading it takes
    if path.stat().st_size != facts.bytes or _facts(content := _read(path, MAX_BYTES)) != facts:
        raise InvalidInspector(
            f"{path}: changed after it was written: its length or SHA-256 is not the one in "
            f"{CARD_NAME}. Copy the inspector again"
        )
    return content


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
