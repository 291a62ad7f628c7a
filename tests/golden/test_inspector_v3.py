"""An inspector of format version 3: every reader of it decides as the first one did.

The expected figures are those of the worked example in docs/inspector-format.md, worked out here
with numpy alone.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from sihwa.inspector import EvidenceBox, load_inspector
from sihwa.storage import sha256_of_bytes
from tests.golden.smallest import (
    BIAS,
    CENTRE,
    FOLDER,
    IMAGE,
    TEMPERATURE,
    WEIGHT,
    smallest_card,
    smallest_graph,
    smallest_weights,
)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "inspector-format.md").read_text("utf-8")
EXAMPLE = DOCUMENT.partition("## Worked example")[2]
FILE = (FOLDER / "inspector.onnx").read_bytes()
SEAM = 1005
"""Where the graph ends and the card begins."""


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_inspector_v3_decides_as_ever(runtime: str) -> None:
    inspector = load_inspector(FOLDER, runtime=runtime)
    [said] = inspector.predict(IMAGE)
    embedding = IMAGE.reshape(-1, 3).mean(0) / 255
    power = np.exp((WEIGHT @ embedding + BIAS) / TEMPERATURE)
    np.testing.assert_allclose(said.embedding, embedding, atol=1e-6)
    np.testing.assert_allclose(said.evidence, [[(WEIGHT @ embedding)[0]]], atol=1e-6)
    np.testing.assert_allclose(said.probability, power / power.sum(), atol=1e-6)
    assert said.unknown == pytest.approx(
        np.sqrt(((embedding - CENTRE) ** 2).mean(1).min()), abs=1e-6
    )
    assert (said.decision.outcome, said.decision.reason) == ("accept", "top class is good")
    assert said.box == EvidenceBox(0, 0, 3, 2)
    assert inspector.card.id in EXAMPLE
    assert inspector.card.thresholds_id in EXAMPLE


def test_inspector_v3_is_what_a_writer_writes_today() -> None:
    graph = smallest_graph()
    assert FILE[:SEAM] == graph, "run python -m tests.golden.smallest and mend the document"
    assert FILE[SEAM:].endswith(smallest_card(graph, smallest_weights()).as_json().encode())


def test_document_shows_the_bytes_of_inspector_v3() -> None:
    assert sha256_of_bytes(FILE[:SEAM]) in EXAMPLE
    entry, key, value = FILE[SEAM : SEAM + 3], FILE[SEAM + 3 : SEAM + 15], FILE[SEAM + 15 :]
    shown = "  ".join(part.hex(" ") for part in (entry, key, value[:3], value[3:12]))
    assert f"{shown} ..." in EXAMPLE
    assert f"{len(FILE):,} bytes" in EXAMPLE
    assert f"an entry of {len(key + value)} bytes with a text of {len(value) - 3} bytes" in EXAMPLE
    assert FILE[:5].hex(" ") == "08 0a 3a e2 07"
    assert 0x62 + 7 * 128 == 994 == SEAM - 5 - len(["42", "04", "0a", "00", "10", "12"])


def test_document_shows_the_card_of_inspector_v3() -> None:
    unbroken = EXAMPLE.replace("\n    ", "")
    card = FILE[SEAM + 18 :].decode()
    assert card in unbroken
    content = json.loads(card)
    decides = ("accept_classes", "classes", "policy", "temperature")
    kept = {key: content[key] for key in decides}
    assert json.dumps(kept, ensure_ascii=False, separators=(",", ":")) in unbroken


def test_document_identifier_of_inspector_v3_is_the_hash_of_its_text() -> None:
    text = FILE[SEAM + 18 :].decode()
    for member in (
        '"id":"10f7bfe226dbd9ab",', '"created":"2026-01-02T03:04:05+00:00",', '"environment":{},',
        '"proof":[],',
    ):  # fmt: skip
        assert text.count(member) == 1
        text = text.replace(member, "")
    assert sha256_of_bytes(text.encode())[:16] == "10f7bfe226dbd9ab"


def test_document_shows_what_the_image_gives() -> None:
    assert " ".join(EXAMPLE.split()).count("ff cc 33 cc cc 33 ff 99 00 99 cc 66 cc ff 33 cc cc cc")
    assert IMAGE.tobytes().hex(" ") == "ff cc 33 cc cc 33 ff 99 00 99 cc 66 cc ff 33 cc cc cc"
    [said] = load_inspector(FOLDER, runtime="onnxruntime").predict(IMAGE)
    for values in (said.embedding, said.evidence[0], said.probability, [said.unknown]):
        assert " ".join(f"{value:.6f}" for value in values) in EXAMPLE
