"""Hostile verifications: a file beside the inspector that says what may decide."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sihwa.inspector import ParityProof, load_inspector, read_bundle
from sihwa.inspector.verify import verification_path, write_verification
from tests.attacks.forge import Json, canonical, forge, put
from tests.helpers import parity_proof

OPENVINO = ("openvino", "fp32")


def fact(runtime: str, precision: str, flips: int = 0) -> ParityProof:
    return parity_proof(runtime, precision, 1000.0, flips=flips)


@pytest.fixture
def verified(tiny_bundle: Path) -> Path:
    """An inspector that was verified to run in OpenVINO, which therefore decides."""
    write_verification(tiny_bundle, read_bundle(tiny_bundle), [fact(*OPENVINO)], 50)
    assert load_inspector(tiny_bundle).runtime.choice.runtime == "openvino"
    return tiny_bundle


def forge_verification(folder: Path, change: Callable[[Json], Any]) -> None:
    """Change a verification, and make its digest fit again."""
    path = verification_path(folder)
    content = json.loads(path.read_bytes())
    change(content)
    del content["digest"]
    digest = hashlib.sha256(canonical(content).encode()).hexdigest()
    path.write_text(json.dumps({**content, "digest": digest}), "utf-8")


def does_not_count(folder: Path, reason: str) -> None:
    """Check that the reference decides, and that it is said why."""
    inspector = load_inspector(folder)
    assert str(inspector.runtime.choice) == "onnxruntime on cpu in fp32"
    assert "inspector.verified.json does not count" in inspector.explanation
    assert reason in inspector.explanation
    assert inspector.explanation.isprintable()
    assert len(inspector.explanation) < 1000


BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "it is damaged"),
    "truncated": (lambda text: text[: len(text) // 2], "it is damaged"),
    "no_json": (lambda _: b"proven: all", "it is damaged"),
    "a_list": (lambda text: b"[" + text + b"]", "it is damaged"),
    "pickle": (lambda _: b"\x80\x04K\x01.", "it is damaged"),
    "nested_deeply": (lambda _: b"[" * 10**5, "it is damaged"),
    "huge": (lambda text: text + b" " * 2**20, "larger than 1048576 bytes"),
    "edited": (lambda text: text.replace(b"1000.0", b"2000.0"), "it was changed after"),
}


@pytest.mark.parametrize(("change", "reason"), BYTES.values(), ids=list(BYTES))
def test_load_inspector_damaged_verification_does_not_count(
    verified: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    path = verification_path(verified)
    path.write_bytes(change(path.read_bytes()))
    does_not_count(verified, reason)


FORGED: dict[str, tuple[Callable[[Json], Any], str]] = {
    "format_foreign": (put("format", to="sihwa-inspector"), "$.format"),
    "version_newer": (put("format_version", to=3), "$.format_version"),
    "key_unknown": (put("pickle", to="gASV"), "unknown field"),
    "count_as_a_fraction": (put("proof", 0, "images", to=32.5), "$.proof[0].images"),
    "rate_of_400_digits": (put("proof", 0, "images_per_second_1", to=10**400), "out of range"),
    "proof_unknown_key": (put("proof", 0, "code", to="x"), "$.proof[0]"),
    "proof_a_text": (put("proof", to="all"), "$.proof"),
    "proofs_a_million": (put("proof", to=[{}] * 10**5), "$.proof"),
    "rate_a_text": (put("proof", 0, "images_per_second_1", to="fast"), "images_per_second_1"),
    "name_clears_a_terminal": (put("proof", 0, "\n\x1b[2J", to="x"), "unknown field"),
    "of_another_inspector": (put("inspector", to="0" * 16), "it is of another inspector"),
    "of_another_graph": (put("graphs", to=["0" * 64]), "it is of another inspector"),
}


@pytest.mark.parametrize(("change", "reason"), FORGED.values(), ids=list(FORGED))
def test_load_inspector_forged_verification_does_not_count(
    verified: Path, change: Callable[[Json], Any], reason: str
) -> None:
    forge_verification(verified, change)
    does_not_count(verified, reason)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFOs, and links need rights")
@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_load_inspector_irregular_verification_does_not_count(verified: Path, kind: str) -> None:
    path = verification_path(verified)
    path.rename(path.with_name("elsewhere.json"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere.json")
    does_not_count(verified, "it is not a regular file")


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": "../evil"},
        {"runtime": "os"},
        {"device": "cpu; rm"},
        {"precision": "int8"},  # which this inspector has not
        {"precision": "fp16"},
        {"precision": "fp8"},
        {"runtime": "onnxruntime", "precision": "bf16"},
        {"flips": 9},
        {"images": 0},
        {"greatest_difference": 1.0},
    ],
    ids=str,
)
def test_load_inspector_proof_that_proves_nothing_does_not_count(
    verified: Path, change: Json
) -> None:
    forge_verification(verified, lambda content: content["proof"][0].update(change))
    assert str(load_inspector(verified).runtime.choice) == "onnxruntime on cpu in fp32"


def test_load_inspector_damaged_refusal_does_not_bring_the_export_proof_back(
    tiny_bundle: Path,
) -> None:
    # on a machine of the same processor and versions the export had proven it; here it flipped
    forge(tiny_bundle, change=put("proof", to=[fact(*OPENVINO).as_dict()]))
    assert load_inspector(tiny_bundle).runtime.choice.runtime == "openvino"
    write_verification(tiny_bundle, read_bundle(tiny_bundle), [fact(*OPENVINO, flips=1)], 50)
    assert load_inspector(tiny_bundle).runtime.choice.runtime == "onnxruntime"
    path = verification_path(tiny_bundle)
    path.write_bytes(path.read_bytes()[:-9])
    does_not_count(tiny_bundle, "it is damaged")
