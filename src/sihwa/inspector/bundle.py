"""The inspector on disk: a folder, or the graph alone.

inspector/
├── inspector.onnx        the graph, with the card in its metadata: enough by itself
├── weights.safetensors   the network for PyTorch: a GPU, or further training
├── card.json             the card again, for readers without ONNX, with every file's SHA-256
├── README.md             the card in words
├── inspector.int8.onnx   the INT8 model, if it was asked for and kept
├── inspector.fixed.onnx  the graph for one resized image, if it was asked for
├── calibration.parquet   outputs for the calibration images, for `sihwa decide`; no images
└── images.zip            some calibration images, for `sihwa verify`, unless refused
"""

import json
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sihwa.errors import InvalidInspector
from sihwa.inspector.bundle_readme import bundle_readme
from sihwa.inspector.card import Card, FixedSizeFacts, Int8Facts, read_card
from sihwa.inspector.graph_file import (
    MAX_BYTES,
    OPSET,
    append_card,
    check_graph,
    find_card,
    parse_graph,
)
from sihwa.inspector.signature import check_signature
from sihwa.inspector.strict_json import MAX_CARD_BYTES, Facts, Sha256, parse_json, printable
from sihwa.storage import new_folder, sha256_of_bytes, write_bytes, write_json

GRAPH_NAME = "inspector.onnx"
WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "card.json"
README_NAME = "README.md"
INT8_NAME = "inspector.int8.onnx"
FIXED_NAME = "inspector.fixed.onnx"
IMAGES_NAME = "images.zip"
CALIBRATION_NAME = "calibration.parquet"
FILES = (GRAPH_NAME, WEIGHTS_NAME, README_NAME)
OPTIONAL_FILES = (INT8_NAME, FIXED_NAME, IMAGES_NAME, CALIBRATION_NAME)


@dataclass(frozen=True)
class Bundle:
    """A checked inspector in memory, its files as bytes; the INT8 model has no card in it.

    `weights` are None if only the graph was read, the others if there are none.
    """

    card: Card
    graph: bytes
    weights: bytes | None = None
    int8_model: bytes | None = None
    calibration: bytes | None = None
    """See `calibration_file`."""
    fixed_graph: bytes | None = None
    """For runtimes without free sizes or uint8; Sihwa only stores it."""


class FileFacts(Facts, frozen=True, kw_only=True):
    """What card.json holds of another file."""

    sha256: Sha256
    bytes: int


def write_bundle(folder: Path, bundle: Bundle, images: bytes | None = None) -> None:
    """Write an inspector folder, whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        bundle: Its graph without a card; the card's facts must be those of the other files.
        images: A .zip of images to verify the inspector with.

    Raises:
        InvalidInspector: It could not be read back. Nothing is written.
        StorageError: The disk refuses.
    """
    card = bundle.card
    given = {
        GRAPH_NAME: append_card(bundle.graph, card.as_json()),
        WEIGHTS_NAME: bundle.weights,
        README_NAME: bundle_readme(card, has_images=images is not None).encode(),
        INT8_NAME: bundle.int8_model,
        FIXED_NAME: bundle.fixed_graph,
        IMAGES_NAME: images,
        CALIBRATION_NAME: bundle.calibration,
    }
    files = {name: content for name, content in given.items() if content is not None}
    facts = {name: _facts(content) for name, content in files.items()}
    with new_folder(folder) as temporary:
        for name, content in files.items():
            write_bytes(temporary / name, content)
        write_json(temporary / CARD_NAME, {**card.as_dict(), "files": msgspec.to_builtins(facts)})
        try:
            read_bundle(temporary)
        except InvalidInspector as error:
            message = str(error).replace(str(temporary), str(folder))
            raise InvalidInspector(message) from error


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
    check_signature(card, check_graph(model, len(content), where), where)
    if not is_folder:
        return Bundle(card, content)
    files = _read_files(path, card)
    _check_weights(card, files[WEIGHTS_NAME], str(path / WEIGHTS_NAME))
    _check_int8_model(card, files.get(INT8_NAME), str(path / INT8_NAME))
    _check_named(card.fixed_size, files.get(FIXED_NAME), str(path / FIXED_NAME), "fixed-size graph")
    optional = (files.get(name) for name in (INT8_NAME, CALIBRATION_NAME, FIXED_NAME))
    return Bundle(card, content, files[WEIGHTS_NAME], *optional)


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


def _check_weights(card: Card, weights: bytes | None, where: str) -> None:
    if weights is None or sha256_of_bytes(weights) != card.weights.sha256:
        raise InvalidInspector(
            f"{where}: expected the weights whose SHA-256 the card in {GRAPH_NAME} gives, found "
            "others. Copy the inspector again"
        )


def _check_int8_model(card: Card, int8_model: bytes | None, where: str) -> None:
    """Check that the INT8 model is the one that the card names, and passes the same checks."""
    _check_named(card.int8, int8_model, where, "INT8 model")
    if int8_model is not None:
        model = parse_graph(int8_model, where)
        check_signature(card, check_graph(model, len(int8_model), where, with_card=False), where)


def _check_named(
    named: Int8Facts | FixedSizeFacts | None, content: bytes | None, where: str, what: str
) -> None:
    """Check that a file beside the graph is the one that the card names, or that neither is."""
    found = None if content is None else (sha256_of_bytes(content), len(content))
    expected = named and (named.sha256, named.bytes)
    if found != expected:
        raise InvalidInspector(
            f"{where}: expected {'the' if expected else 'no'} {what} that the card in {GRAPH_NAME} "
            f"names, found {'another or none' if expected else 'one'}. Copy the inspector again"
        )


def _check_names(folder: Path) -> None:
    """Check that all files of an inspector folder are plain files; others are not read."""
    try:
        found = {entry.name: entry.lstat().st_mode for entry in folder.iterdir()}
    except OSError as error:
        raise InvalidInspector(f"{folder}: cannot be read: {error.strerror}") from error
    for name in (*FILES, CARD_NAME, *OPTIONAL_FILES):
        if name not in found and name in OPTIONAL_FILES:
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


def _read_files(folder: Path, card: Card) -> dict[str, bytes]:
    """Check card.json against the graph's card, and the files that it lists against it."""
    path = folder / CARD_NAME
    content = parse_json(_read(path, MAX_CARD_BYTES), str(path))
    listed = content.pop("files", None)
    if content != json.loads(card.as_json()):
        raise InvalidInspector(f"{path}: it differs from the card in {GRAPH_NAME}. Copy both again")
    try:
        files = msgspec.convert(listed, dict[str, FileFacts])
    except msgspec.ValidationError as error:
        raise InvalidInspector(f"{path}: files: {printable(error)}") from error
    if not {*FILES} <= files.keys() <= {*FILES, *OPTIONAL_FILES}:
        raise InvalidInspector(f"{path}: files: expected the SHA-256 of {', '.join(FILES)}")
    for name in OPTIONAL_FILES:
        if name not in files and (folder / name).exists():
            raise InvalidInspector(
                f"{folder / name}: {CARD_NAME} does not list it, so it is not of this inspector. "
                "Remove it, or copy the inspector again"
            )
    return {name: _read_file(folder / name, facts) for name, facts in files.items()}


def _facts(content: bytes) -> FileFacts:
    return FileFacts(sha256=sha256_of_bytes(content), bytes=len(content))


def _read_file(path: Path, facts: FileFacts) -> bytes:
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
