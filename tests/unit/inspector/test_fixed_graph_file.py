"""inspector.fixed.onnx in a bundle: kept, named by the card, and checked by its SHA-256."""

from pathlib import Path

import pytest

from sihwa.errors import InvalidInspector
from sihwa.inspector import Bundle, Card, FixedSizeFacts, read_bundle, write_bundle
from sihwa.inspector.bundle import FIXED_NAME
from sihwa.inspector.calibration_file import pack_calibration
from sihwa.storage import sha256_of_bytes
from tests.attacks.forge import refuse, reseal
from tests.helpers import changed, parity_proof
from tests.unit.commands.test_decide_command import decide, outputs

GRAPH = b"a graph that Sihwa never loads"


@pytest.fixture
def folder(tmp_path: Path, tiny_card: Card, tiny_graph: bytes, tiny_weights: bytes) -> Path:
    facts = FixedSizeFacts(
        sha256=sha256_of_bytes(GRAPH),
        bytes=len(GRAPH),
        input=(1, 3, 64, 64),
        proof=(parity_proof(runtime="opencv"),),
        pillow_flips=1,
    )
    card = changed(tiny_card, fixed_size=facts, accept_classes=tiny_card.classes[:1])
    packed = pack_calibration(outputs(classes=len(card.classes)))
    bundle = Bundle(card, tiny_graph, tiny_weights, calibration=packed, fixed_graph=GRAPH)
    write_bundle(tmp_path / "fixed", bundle)
    return tmp_path / "fixed"


def test_read_bundle_fixed_graph_survives_the_journey(folder: Path, tiny_card: Card) -> None:
    bundle = read_bundle(folder)
    assert bundle.fixed_graph == GRAPH
    assert bundle.card.fixed_size is not None
    assert bundle.card.fixed_size.pillow_flips == 1
    assert "1 of 50 decisions flip" in (folder / "README.md").read_text("utf-8")
    # what was proven of it differs from machine to machine
    assert bundle.card.id == changed(bundle.card, fixed_size=None).id
    assert "fixed_size" not in tiny_card.as_dict()


def test_decide_keeps_the_fixed_graph_and_drops_its_proof(folder: Path, tmp_path: Path) -> None:
    decide(folder, "--escapes", "5%", "--out", tmp_path / "new")
    bundle = read_bundle(tmp_path / "new")
    assert bundle.fixed_graph == GRAPH
    facts = bundle.card.fixed_size
    assert facts is not None
    assert (facts.proof, facts.pillow_flips) == ((), None)
    assert "Nothing was proven of it" in (tmp_path / "new" / "README.md").read_text("utf-8")


def test_read_bundle_altered_fixed_graph_is_refused(folder: Path) -> None:
    (folder / FIXED_NAME).write_bytes(GRAPH[::-1])
    refuse(folder, "its length or SHA-256 is not", FIXED_NAME)
    reseal(folder)  # card.json fits again, the card in the graph does not
    refuse(folder, "expected the fixed-size graph that the card", FIXED_NAME)


def test_read_bundle_fixed_graph_gone_or_strange_is_refused(
    folder: Path, tiny_bundle: Path
) -> None:
    (folder / FIXED_NAME).unlink()
    reseal(folder)
    refuse(folder, "found another or none", FIXED_NAME)
    (tiny_bundle / FIXED_NAME).write_bytes(GRAPH)
    with pytest.raises(InvalidInspector, match=r"card\.json does not list it"):
        read_bundle(tiny_bundle)
