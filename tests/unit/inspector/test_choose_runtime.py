import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import Bundle, Card, ParityProof, RuntimeChoice
from sihwa.inspector.choose_runtime import choose_runtime
from sihwa.inspector.verify import Verification
from tests.helpers import changed, parity_proof

REFERENCE = RuntimeChoice("onnxruntime", "cpu", "fp32")
OPENVINO = RuntimeChoice("openvino", "cpu", "fp32")
AUTO = RuntimeChoice("auto", "cpu", "auto")
NOTHING = Verification()
MakeBundle = Callable[..., Bundle]


def refused(runtime: str, precision: str, rate: float = 900.0) -> ParityProof:
    return parity_proof(runtime, precision, rate, flips=3)


@pytest.fixture
def bundle(tiny_card: Card) -> MakeBundle:
    def make(*proofs: ParityProof) -> Bundle:
        return Bundle(changed(tiny_card, proof=proofs), b"graph", b"weights", b"int8_model")

    return make


def choose(
    bundle: Bundle,
    verification: Verification = NOTHING,
    runtime: str = "auto",
    device: str = "cpu",
    precision: str = "auto",
) -> tuple[RuntimeChoice, str]:
    return choose_runtime(bundle, verification, RuntimeChoice(runtime, device, precision))


def test_choose_runtime_nothing_proven_is_the_reference(bundle: MakeBundle) -> None:
    choice, reason = choose(bundle())
    assert choice == REFERENCE
    assert "no other is proven here" in reason


def test_choose_runtime_takes_the_fastest_proven_at_export(bundle: MakeBundle) -> None:
    proofs = [
        parity_proof("onnxruntime", "fp32", 100.0),
        refused("openvino", "bf16", 300.0),
        parity_proof("openvino", "fp32", 150.0),
    ]
    choice, reason = choose(bundle(*proofs))
    assert choice == OPENVINO
    assert reason == "proven at export in 50 comparisons, fastest of 2, 150 images/s one by one"


def test_choose_runtime_batches_compare_speed_in_batches(bundle: MakeBundle) -> None:
    made = bundle(
        parity_proof("onnxruntime", "fp32", 100.0, images_per_second_32=120.0),
        parity_proof("openvino", "fp32", 90.0, images_per_second_32=200.0),
    )
    assert choose(made)[0] == REFERENCE
    choice, reason = choose_runtime(made, NOTHING, AUTO, batch_size=16)
    assert choice == OPENVINO
    assert "200 images/s in batches of 32" in reason


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": "0.1"}, id="another version"),
        pytest.param({"processor": "AMD EPYC (family 25, model 17; avx512f)"}, id="another CPU"),
        pytest.param({"device": "cuda"}, id="another device"),
        pytest.param({"images_per_second_1": None}, id="not measured, so slowest"),
    ],
)
def test_choose_runtime_proof_from_elsewhere_does_not_count(
    bundle: MakeBundle, change: dict[str, object]
) -> None:
    made = bundle(
        parity_proof("openvino", "fp32", 900.0, **change), parity_proof("onnxruntime", "fp32", 1.0)
    )
    assert choose(made)[0] == REFERENCE


def test_choose_runtime_verified_comes_before_proven_at_export(bundle: MakeBundle) -> None:
    made = bundle(parity_proof("openvino", "fp32", 900.0))
    choice, reason = choose(made, Verification((parity_proof("openvino", "int8", 300.0),)))
    assert choice == RuntimeChoice("openvino", "cpu", "int8")
    assert reason.startswith("verified in 50 comparisons")


def test_choose_runtime_refused_here_is_not_taken_from_the_export(bundle: MakeBundle) -> None:
    made = bundle(
        parity_proof("openvino", "fp32", 900.0), parity_proof("onnxruntime", "fp32", 100.0)
    )
    found = Verification((refused("openvino", "fp32"),))
    assert choose(made, found)[0] == REFERENCE
    with pytest.raises(RuntimeUnavailable, match="refused, 3 of 50 decisions flip"):
        choose(made, found, runtime="openvino", precision="fp32")


def test_choose_runtime_refused_reference_still_decides(bundle: MakeBundle) -> None:
    found = Verification((refused("onnxruntime", "fp32"),))
    assert choose(bundle(), found)[0] == REFERENCE


def test_choose_runtime_damaged_verification_leaves_the_reference(bundle: MakeBundle) -> None:
    damaged = Verification(note="x.verified.json does not count: damaged", is_damaged=True)
    choice, reason = choose(bundle(parity_proof("openvino", "fp32", 900.0)), damaged)
    assert choice == REFERENCE
    assert "x.verified.json does not count" in reason


def test_choose_runtime_fp32_by_name_runs_unproven(bundle: MakeBundle) -> None:
    choice, reason = choose(bundle(), runtime="openvino")
    assert choice == OPENVINO
    assert "not proven on this machine" in reason


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
@pytest.mark.parametrize(
    ("proofs", "precision", "message"),
    [
        pytest.param([], "int8", "int8 needs a proof on this machine.*verify", id="no proof"),
        pytest.param([refused("openvino", "bf16")], "bf16", "bf16: refused, 3 of", id="refused"),
    ],
)
def test_choose_runtime_low_precision_without_proof_is_an_error(
    bundle: MakeBundle, runtime: str, proofs: list[ParityProof], precision: str, message: str
) -> None:
    with pytest.raises(RuntimeUnavailable, match=message):
        choose(bundle(*proofs), runtime=runtime, precision=precision)


def test_choose_runtime_proof_of_a_missing_part_does_not_count(tiny_card: Card) -> None:
    proofs = (parity_proof("openvino", "int8", 300.0), parity_proof("torch", "fp32", 200.0))
    assert choose(Bundle(changed(tiny_card, proof=proofs), b"graph"))[0] == REFERENCE


def test_choose_runtime_on_a_gpu_counts_proofs_of_that_card(
    bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = {"cuda:0": "card A", "cuda:1": "card B"}
    monkeypatch.setattr("sihwa.inspector.choose_runtime.processor_of", cards.__getitem__)
    made = bundle(parity_proof("torch", "fp16", 900.0, device="cuda", processor="card B"))
    assert choose(made, device="cuda:1")[0] == RuntimeChoice("torch", "cuda:1", "fp16")
    choice, reason = choose(made, device="cuda:0")
    assert choice == RuntimeChoice("torch", "cuda:0", "fp32")
    assert "not proven" in reason


def test_choose_runtime_imports_no_runtime(tiny_bundle: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from sihwa.inspector import RuntimeChoice, Verification, read_bundle\n"
        "from sihwa.inspector.choose_runtime import choose_runtime\n"
        f"bundle = read_bundle(pathlib.Path({str(tiny_bundle)!r}))\n"
        "choose_runtime(bundle, Verification(), RuntimeChoice('auto', 'cpu', 'auto'))\n"
        "print(*sorted({'torch', 'openvino', 'onnxruntime'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
