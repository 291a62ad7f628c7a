"""docs/inspector-format.md against the code: each says what the other says, and no more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from sihwa.decision import ThresholdPolicy, TopClassPolicy
from sihwa.export.config import MAX_IMAGES
from sihwa.images import MAX_PIXELS
from sihwa.inspector import (
    FORMAT_VERSION,
    TOLERANCE,
    Card,
    Outputs,
    bundle,
    card,
    graph_file,
    operators,
    read_bundle,
    signature,
    strict_json,
    unread,
    verify,
)
from sihwa.inspector.inspector import ONE_COLOUR
from sihwa.inspector.operators import OPERATORS
from sihwa.inspector.runtime.registry import _OFFERS
from sihwa.model import Network
from sihwa.storage import sha256_of_bytes
from sihwa.terminal.names import class_name_fault
from tests.attacks.forge import canonical
from tests.helpers import random_images, save_images

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "inspector-format.md").read_text("utf-8")
SCHEMA = msgspec.json.schema(Card)["$defs"]
HEADER = ["format", "format_version", "id"]
"""What a card has besides its facts."""


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    [found] = re.findall(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", DOCUMENT, re.M | re.S)
    return str(found)


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def keys(name: str, place: str = "") -> Iterator[str]:
    """Yield the place of every key of a struct."""
    for key, value in SCHEMA[name]["properties"].items():
        if key == "worst_path":  # of a comparison in memory
            continue
        yield place + key
        if place + key == "fixed_size.proof":  # "as `proof`"
            continue
        items = place + key + ("[]." if "items" in value else ".")
        for inner in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
            yield from keys(inner, items)


def limits(name: str, key: str) -> dict[str, Any]:
    """Return what the type of a key allows, as JSON Schema."""
    found: dict[str, Any] = SCHEMA[name]["properties"][key]
    return found


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_document_describes_every_key_of_the_card() -> None:
    described = [row[0].strip("`") for row in rows("The card")]
    assert sorted(described) == sorted({*HEADER, *keys("Card")})


def test_document_calls_dict_fields_open() -> None:
    open_keys = {row[0].strip("`") for row in rows("The card") if row[1].startswith("open")}
    assert open_keys == {"training", "metrics", "environment"}
    assert all("$ref" not in json.dumps(limits("Card", key)) for key in open_keys)


def test_document_names_version_kinds_and_precisions_of_the_code() -> None:
    meaning = {row[0].strip("`"): row[2] for row in rows("The card")}
    assert meaning["format_version"] == str(FORMAT_VERSION)
    assert meaning["format"] == f"`{card.FORMAT}`"
    kinds = [limits(name, "kind")["enum"][0] for name in ("TopClassFacts", "ThresholdFacts")]
    assert re.findall(r"`(\w+)`", meaning["policy.kind"]) == kinds
    precisions, _, _ = meaning["proof[].precision"].partition(";")
    assert re.findall(r"`(\w+)`", precisions) == list(TOLERANCE)
    tolerance = re.findall(r"([\d.]+) in `(\w+)`", meaning["proof[].tolerance"])
    assert {name: float(value) for value, name in tolerance} == TOLERANCE
    assert re.findall(r"`(\w+)`", meaning["proof[].runtime"]) == list(_OFFERS)
    assert f"version {FORMAT_VERSION}" in DOCUMENT.splitlines()[0]


def test_document_lists_the_outputs_in_order() -> None:
    assert [row[0].strip("`") for row in rows("Outputs")] == list(Outputs._fields)


def test_document_lists_the_operators_and_types_of_the_graph() -> None:
    text = section("What the graph may hold")
    assert text.split("```")[1].split() == sorted(OPERATORS)
    held = re.search(r"and hold (.*?)\. There", text, re.S)
    assert held is not None
    types = {element for element, _ in operators.ELEMENTS.values()}
    assert set(re.findall(r"`(\w+)`", held[1])) == types
    assert f"opset {graph_file.OPSET}, " in text


def test_document_gives_the_limits_of_the_code() -> None:
    network = SCHEMA["NetworkFacts"]["properties"]
    proof = SCHEMA["ParityProof"]["properties"]
    said = {name: (low, high) for name, low, high in rows("Limits")}
    most = "`network.input_size` times `network.framing.tiles`"
    assert said.pop("h and w") == ("1", most)
    assert {name: number(high) for name, (_, high) in said.items()} == {
        "bytes of a file": graph_file.MAX_BYTES,
        "bytes of the card, and of `card.json`": strict_json.MAX_CARD_BYTES,
        "operators of the graph": graph_file.MAX_NODES,
        "axes of a tensor in the graph": graph_file.MAX_AXES,
        "opset": graph_file.OPSET,
        "classes": limits("Card", "classes")["maxItems"],
        "characters of a class name": limits("Card", "classes")["items"]["maxLength"],
        "a side of `network.input_size`": network["input_size"]["anyOf"][0]["maximum"],
        "`network.stages`": network["stages"]["maximum"],
        "`network.embedding_width`": network["embedding_width"]["maximum"],
        "numbers of one image's evidence, K · h · w": signature._MAX_EVIDENCE,
        "cells of an evidence map, h · w": signature._MAX_CELLS,
        "a side of an image, in pixels": signature.MAX_SIDE,
        "entries of `proof`": limits("Card", "proof")["maxItems"],
        "characters of `proof[].processor`": proof["processor"]["maxLength"],
        "characters of other texts in `proof`": proof["runtime"]["maxLength"],
        "images kept, as written": MAX_IMAGES,
        "bytes of the verification": verify._MAX_BYTES,
        "pixels of an image file": MAX_PIXELS,
    }
    for facts in ("GraphFacts", "Int8Facts"):
        assert limits(facts, "bytes")["maximum"] == graph_file.MAX_BYTES


def test_document_gives_decisions_and_reasons_word_for_word() -> None:
    names = ("good", "scratch"), ("good",)
    top_class = TopClassPolicy(*names, unknown_threshold=3.0, least_probability=0.5)
    thresholds = ThresholdPolicy(*names, accept_at_most=0.25, reject_at_least=0.5)
    probability = np.array([[np.nan, 0.5], [0.5, 0.5], [0.45, 0.45], [0.5, 0.5], [0.4, 0.6]])
    unknown = np.array([0.0, np.nextafter(3.0, 4), 3.0, 3.0, 3.0])
    others = np.array([[0.75, 0.25], [0.5, 0.5], [0.6, 0.4]])
    decided = [
        unread("damaged").decision,
        *top_class.decide(probability, unknown)[:1],
        ONE_COLOUR,
        *top_class.decide(probability, unknown)[1:],
        *thresholds.decide(others, np.zeros(3)),
    ]
    named = ["", "", "", "good", "good", "good", "scratch", "good", "good", "good"]
    assert [
        (row[2], row[3].replace("` top class", f"{top}`").strip("`"))
        for row, top in zip(rows("From outputs to a decision"), named, strict=True)
    ] == [(one.outcome, one.reason) for one in decided]


@pytest.mark.parametrize("written", ["0.5", "1.0", "0.0001", "1e-05", "1e+16"])
def test_document_shows_numbers_as_canonical_json_writes_them(written: str) -> None:
    assert f"`{written}`" in section("The card")
    assert strict_json.canonical_json(float(written)) == written


def test_document_says_what_canonical_json_escapes() -> None:
    escaped = {
        chr(code)
        for code in range(0x300)
        if strict_json.canonical_json(chr(code)) != f'"{chr(code)}"'
    }
    assert escaped == {'"', "\\", *map(chr, range(0x20))}
    assert strict_json.canonical_json('\0"\\\b\f\n\r\t') == r'"\u0000\"\\\b\f\n\r\t"'
    assert (
        strict_json.canonical_json({"b": 1, "a": [1, None], "z": 2, "가": 3})
        == '{"a":[1,null],"b":1,"z":2,"가":3}'
    )


def test_document_says_what_the_identifiers_are_made_of(tiny_card: Card) -> None:
    (_, left_out), (_, taken) = rows("Identifiers")
    content = tiny_card.as_dict()
    identity = {key: content[key] for key in content.keys() - set(re.findall(r"`(\w+)`", left_out))}
    thresholds = {key: content[key] for key in re.findall(r"`(\w+)`", taken)}
    assert sha256_of_bytes(canonical(identity).encode())[:16] == tiny_card.id
    assert sha256_of_bytes(canonical(thresholds).encode())[:16] == tiny_card.thresholds_id


@pytest.mark.parametrize(
    "letter",
    ["\x00", "\x85", "\u2028", "\u2029", *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"],
    ids=ascii,
)
def test_document_names_the_kind_of_every_refused_letter(letter: str) -> None:
    import unicodedata

    assert class_name_fault(f"a{letter}b")
    kinds = {unicodedata.category(letter), unicodedata.bidirectional(letter)}
    assert kinds & set(re.findall(r"\b[A-Z][A-Za-z]{1,2}\b", section("The card")))


def test_document_layout_is_that_of_a_written_folder(tiny_bundle: Path) -> None:
    listed = re.findall(r"── (\S+)", section("Layout"))
    written = {path.name for path in tiny_bundle.iterdir()}
    assert written == {*bundle.FILES, bundle.CARD_NAME}
    assert sorted(listed) == sorted({*written, *bundle.OPTIONAL_FILES})
    assert verify.verification_path(tiny_bundle).name in section("Layout")


def test_document_describes_what_verify_leaves_beside_the_inspector(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    save_images(tmp_path / "line", random_images(2, 40, 30))
    written = verify.verify_inspector(tiny_bundle, tmp_path / "line").written
    content = json.loads(written.read_text("utf-8"))
    described = {row[0].strip("`"): row[2] for row in rows("Proofs") if len(row) == 3}
    assert list(described) == list(content)
    assert described["format"] == f"`{content['format']}`"
    assert described["format_version"] == str(content["format_version"])
    names = re.findall(r"`([\w.]+)`", described["graphs"])
    assert names == [bundle.GRAPH_NAME, bundle.WEIGHTS_NAME, bundle.INT8_NAME]
    there = [tiny_bundle / name for name in names if (tiny_bundle / name).exists()]
    assert content["graphs"] == [sha256_of_bytes(path.read_bytes()) for path in there]
    digest = content.pop("digest")
    assert sha256_of_bytes(canonical(content).encode()) == digest
    assert (content["inspector"], content["images"]) == (read_bundle(tiny_bundle).card.id, 2)
    assert f"(name of the folder, or of the .onnx file alone, and `{written.name[9:]}`)" in DOCUMENT


def test_document_formulae_give_what_the_network_gives(
    tiny_network: Network, tiny_bundle: Path, tiny_card: Card
) -> None:
    """Preprocessing and outputs as the page writes them, in double precision."""
    image = random_images(1, 97, 53)[0]
    held = {
        name: value.astype(np.float64)
        for name, value in load_file(tiny_bundle / "weights.safetensors").items()
    }

    def weights(length: int, size: int) -> NDArray[np.float64]:
        centre = (np.arange(size)[:, None] + 0.5) * length / size - 0.5
        mass = np.maximum(0, 1 - abs(np.arange(length) - centre) / max(length / size, 1))
        share: NDArray[np.float64] = mass / mass.sum(1, keepdims=True)
        return share

    size, _ = tiny_card.network.input_sides
    resized = np.einsum("yj,xi,jic->cyx", weights(97, size), weights(53, size), image - 127.5)
    scale, shift = held["preprocessing.scale"], held["preprocessing.shift"]
    with torch.no_grad():
        tensor = torch.from_numpy(image[None])
        given = tiny_network.preprocessing(tensor).numpy()[0]
        features = tiny_network._features(tensor).numpy()[0].astype(np.float64)
        said = Outputs(*(value.numpy()[0] for value in tiny_network(tensor)))
    np.testing.assert_allclose(given, scale * resized + shift, atol=1e-5)

    evidence = np.einsum("kd,dyx->kyx", held["classifier.weight"], features)
    embedding = features.mean((1, 2))
    logit = evidence.mean((1, 2)) + held["classifier.bias"]
    power = np.exp(logit / tiny_card.temperature)
    offset = embedding @ held["unknown.projection"] - held["unknown.centre"]
    np.testing.assert_allclose(said.embedding, embedding, atol=1e-5)
    np.testing.assert_allclose(said.evidence, evidence, atol=1e-4)
    np.testing.assert_allclose(said.probability, power / power.sum(), atol=1e-5)
    np.testing.assert_allclose(said.unknown, np.sqrt((offset**2).mean(1).min()), rtol=1e-4)
