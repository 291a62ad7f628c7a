from collections.abc import Callable
from pathlib import Path

import pytest

import sihwa.inspector.choice
from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import Bundle, Card, ParityProof, RuntimeChoice
from sihwa.inspector.choice import choose_runtime
from sihwa.inspector.verification import Verification
from tests.helpers import changed, parity_proof

REFERENCE = RuntimeChoice("onnxruntime", "cpu", "fp32")
NOTHING = Verification()
MakeBundle = Callable[..., Bundle]


REFUSED = {"flips": 3, "greatest_difference": 0.02}


@pytest.fixture
def bundle(tiny_card: Card) -> MakeBundle:
    def make(*proofs: ParityProof) -> Bundle:
        return Bundle(changed(tiny_card, proof=tuple(proofs)), b"graph", b"weights", b"int8_model")

    return make


def choose(
    bundle: Bundle, verification: Verification = NOTHING, **wanted: str
) -> tuple[RuntimeChoice, str]:
    given = {"runtime": "auto", "device": "cpu", "precision": "auto", **wanted}
    return choose_runtime(
        bundle, verification, given["runtime"], given["device"], given["precision"]
    )


def test_choose_runtime_nothing_proven_is_the_reference(bundle: MakeBundle) -> None:
    choice, reason = choose(bundle())
    assert choice == REFERENCE
    assert "no other is proven here" in reason


def test_choose_runtime_takes_the_fastest_that_is_proven(bundle: MakeBundle) -> None:
    proofs = [
        parity_proof("onnxruntime", "fp32", 100.0),
        parity_proof("openvino", "bf16", 300.0, **REFUSED),
        parity_proof("openvino", "fp32", 150.0),
    ]
    choice, reason = choose(bundle(*proofs))
    assert choice == RuntimeChoice("openvino", "cpu", "fp32")
    assert reason == "proven at export in 50 comparisons, fastest of 2, 150 images/s one by one"


def test_choose_runtime_for_batches_takes_the_fastest_in_batches(bundle: MakeBundle) -> None:
    made = bundle(
        parity_proof("onnxruntime", "fp32", 100.0, images_per_second_32=120.0),
        parity_proof("openvino", "fp32", 90.0, images_per_second_32=200.0),
    )
    assert choose(made)[0].runtime == "onnxruntime"
    choice, reason = choose_runtime(made, NOTHING, "auto", "cpu", "auto", batch_size=16)
    assert choice.runtime == "openvino"
    assert "200 images/s in batches of 32" in reason


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"version": "0.1"}, id="another version"),
        pytest.param({"processor": "AMD EPYC (family 25, model 17; avx512f)"}, id="another CPU"),
        pytest.param({"device": "cuda"}, id="another device"),
        pytest.param({"version": None}, id="no version"),
    ],
)
def test_choose_runtime_proof_of_elsewhere_does_not_count(
    bundle: MakeBundle, change: dict[str, object]
) -> None:
    choice, _ = choose(bundle(parity_proof("openvino", "fp32", 900.0, **change)))
    assert choice == REFERENCE


def test_choose_runtime_verification_comes_before_the_export(bundle: MakeBundle) -> None:
    exported = bundle(
        parity_proof("openvino", "fp32", 900.0), parity_proof("onnxruntime", "fp32", 100.0)
    )
    found = Verification([parity_proof("openvino", "fp32", 900.0, **REFUSED)])
    assert choose(exported, found)[0] == REFERENCE
    with pytest.raises(RuntimeUnavailable, match="refused on this machine: 3 of 50 decisions flip"):
        choose(exported, found, runtime="openvino", precision="fp32")


def test_choose_runtime_verification_proves_what_the_export_had_not(bundle: MakeBundle) -> None:
    choice, reason = choose(bundle(), Verification([parity_proof("openvino", "int8", 300.0)]))
    assert choice == RuntimeChoice("openvino", "cpu", "int8")
    assert reason.startswith("verified in 50 comparisons")


def test_choose_runtime_damaged_verification_leaves_only_the_reference(bundle: MakeBundle) -> None:
    damaged = Verification(note="x.verified.json does not count: damaged", is_damaged=True)
    choice, reason = choose(bundle(parity_proof("openvino", "fp32", 900.0)), damaged)
    assert choice == REFERENCE
    assert "x.verified.json does not count" in reason


def test_choose_runtime_fp32_by_name_runs_unproven_and_says_so(bundle: MakeBundle) -> None:
    choice, reason = choose(bundle(), runtime="openvino")
    assert choice == RuntimeChoice("openvino", "cpu", "fp32")
    assert "not proven on this machine" in reason


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
def test_choose_runtime_fewer_bits_by_name_need_a_proof(bundle: MakeBundle, runtime: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"int8 needs a proof on this machine.*verify"):
        choose(bundle(), runtime=runtime, precision="int8")


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
def test_choose_runtime_refused_by_name_says_why(bundle: MakeBundle, runtime: str) -> None:
    exported = bundle(parity_proof("openvino", "bf16", 300.0, **REFUSED))
    with pytest.raises(RuntimeUnavailable, match=r"openvino on cpu in bf16 is refused .*2\.0e-02"):
        choose(exported, runtime=runtime, precision="bf16")


def test_choose_runtime_without_the_parts_their_proofs_do_not_count(
    bundle: MakeBundle, tiny_card: Card
) -> None:
    proofs = [parity_proof("openvino", "int8", 300.0), parity_proof("torch", "fp32", 200.0)]
    alone = Bundle(changed(tiny_card, proof=proofs), b"graph")
    assert choose(alone)[0] == REFERENCE


def test_choose_runtime_unmeasured_proof_is_the_slowest(bundle: MakeBundle) -> None:
    proofs = [parity_proof("openvino", "fp32", None), parity_proof("onnxruntime", "fp32", 1.0)]
    assert choose(bundle(*proofs))[0] == REFERENCE


def test_choose_runtime_on_a_gpu_counts_proofs_of_that_card(
    bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = {"cuda:0": "card A", "cuda:1": "card B", "cpu": "none"}
    monkeypatch.setattr(sihwa.inspector.choice, "processor_of", cards.__getitem__)
    exported = bundle(parity_proof("torch", "fp16", 900.0, device="cuda", processor="card B"))
    choice, _ = choose(exported, device="cuda:1")
    assert choice == RuntimeChoice("torch", "cuda:1", "fp16")
    choice, reason = choose(exported, device="cuda:0")
    assert choice == RuntimeChoice("torch", "cuda:0", "fp32")
    assert "not proven" in reason


def test_choose_runtime_imports_no_runtime(tiny_bundle: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from sihwa.inspector.choice import choose_runtime\n"
        "from sihwa.inspector import read_bundle\n"
        "from sihwa.inspector.verification import Verification\n"
        f"bundle = read_bundle(__import__('pathlib').Path({str(tiny_bundle)!r}))\n"
        "choose_runtime(bundle, Verification(), 'auto', 'cpu', 'auto')\n"
        "print(*sorted({'torch', 'openvino', 'onnxruntime'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
