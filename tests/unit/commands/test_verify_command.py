from pathlib import Path

import pytest

from sihwa.commands.verify_command import show_verified
from sihwa.inspector.verify import VerifiedInspector
from tests.helpers import parity_proof


def test_show_verified_refused_runtime_is_refused_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    proofs = [
        parity_proof("onnxruntime"),
        parity_proof("openvino", flips=3, worst_path="부품/7.png"),
    ]
    show_verified(VerifiedInspector(proofs, 50, Path("x.verified.json"), [], left_out=2))
    captured = capsys.readouterr()
    text = captured.out + captured.err
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "proven" in rows["onnxruntime"]
    assert "refused" in text
    assert f"{proofs[1].verdict()}; worst image: 부품/7.png" in text.replace("\n", " ")
    assert "2 images beyond --limit" in text
