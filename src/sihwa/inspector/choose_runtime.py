"""How `auto` chooses a runtime: the fastest that is proven on this machine, else the reference."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sihwa.errors import RuntimeUnavailable
from sihwa.inspector.bundle import Bundle
from sihwa.inspector.machine import processor_of
from sihwa.inspector.proof import ParityProof
from sihwa.inspector.runtime.interface import RuntimeChoice
from sihwa.inspector.runtime.registry import (
    REFERENCE,
    check_choice,
    is_offered,
    runtime_version,
    why_none,
)
from sihwa.inspector.verify import Verification

_DEFAULT = {"cpu": REFERENCE.runtime, "cuda": "torch"}
_ADVICE = "run `sihwa verify INSPECTOR` here"


def choose_runtime(
    bundle: Bundle, verification: Verification, asked: RuntimeChoice, batch_size: int = 1
) -> tuple[RuntimeChoice, str]:
    """Choose the runtime that decides, by the first of three rules that gives one.

    Only runtimes and precisions asked for by name are considered; `auto` considers all.

    1. Proven here: the fastest of those that `sihwa verify` proved on this machine.
    2. Proven at export: the fastest of those proven with this version on such a processor, unless
       `sihwa verify` refused it here.
    3. Not proven: ONNX Runtime in float32 (PyTorch on a GPU), or another runtime in float32 if it
       was asked for by name. A refused runtime, or less precision than float32, is an error.

    Speeds are compared one by one for a `batch_size` of 1, else in batches of 32. The choice comes
    with its reason in a few words.

    Raises:
        ConfigError: There is no runtime, device or precision of that name.
        RuntimeUnavailable: They cannot be combined, or rule 3 allows none.
    """
    check_choice(asked.runtime, asked.device, asked.precision)
    fitting = [
        proof
        for proof in _valid_proofs(bundle, verification, asked.device)
        if asked.runtime in ("auto", proof.runtime) and asked.precision in ("auto", proof.precision)
    ]
    proven = [proof for proof in fitting if proof.proven]
    note = _note(verification)
    if here := [proof for proof in proven if proof in verification.proof]:
        return _fastest(here, asked.device, batch_size, "verified", note)
    if proven:
        return _fastest(proven, asked.device, batch_size, "proven at export", note)
    return _choose_unproven(bundle, asked, fitting, note)


def why_not(bundle: Bundle, verification: Verification, choice: RuntimeChoice) -> str | None:
    """Return why a runtime is not proven to decide here; None if it is, or is the reference."""
    if choice == REFERENCE:
        return None
    for proof in _valid_proofs(bundle, verification, choice.device):
        if replace(proof.choice, device=choice.device) == choice:
            return None if proof.proven else proof.outcome()
    return f"not proven on this machine{_note(verification)}: {_ADVICE}"


def _fastest(
    proofs: Sequence[ParityProof], device: str, batch_size: int, origin: str, note: str
) -> tuple[RuntimeChoice, str]:
    def rate(proof: ParityProof) -> float:
        one, many = proof.images_per_second_1, proof.images_per_second_32
        return (one if batch_size == 1 else many) or 0

    best = max(proofs, key=rate)
    fastest = f", fastest of {len(proofs)}" if len(proofs) > 1 else ""
    manner = "one by one" if batch_size == 1 else "in batches of 32"
    speed = f", {rate(best):.0f} images/s {manner}" if rate(best) else ""
    reason = f"{origin} in {best.images} comparisons{fastest}{speed}{note}"
    return replace(best.choice, device=device), reason


def _choose_unproven(
    bundle: Bundle, asked: RuntimeChoice, refused: Sequence[ParityProof], note: str
) -> tuple[RuntimeChoice, str]:
    choice = RuntimeChoice(
        _DEFAULT[asked.kind] if asked.runtime == "auto" else asked.runtime,
        asked.device,
        "fp32" if asked.precision == "auto" else asked.precision,
    )
    if choice == REFERENCE:
        return choice, f"the reference; no other is proven here{note}"
    is_low = choice.precision != "fp32"
    for proof in refused:
        if is_low or replace(proof.choice, device=asked.device) == choice:
            raise RuntimeUnavailable(f"{proof.verdict()}. Use precision=auto, or another runtime")
    if not is_low:
        return choice, f"not proven on this machine{note}: {_ADVICE}"
    if faults := why_none(bundle, asked.device, asked.runtime, asked.precision):
        raise RuntimeUnavailable(
            f"precision={asked.precision} on {asked.device} cannot run here: {faults}"
        )
    name = "any runtime" if asked.runtime == "auto" else asked.runtime
    raise RuntimeUnavailable(
        f"{name} on {asked.device} in {asked.precision} needs a proof on this machine, and there "
        f"is none{note}: {_ADVICE}, or use precision=auto"
    )


def _valid_proofs(
    bundle: Bundle, verification: Verification, device: str
) -> Collection[ParityProof]:
    """Return the proofs that hold on this machine; those of `verify` replace the export's."""
    # a damaged verification may have refused what the export had proven
    exported = () if verification.is_damaged else bundle.card.proof
    latest = {
        (proof.runtime, proof.precision): proof
        for proof in (*exported, *verification.proof)
        if proof.device == device.partition(":")[0] and _holds_here(proof, bundle, device)
    }
    return latest.values()


def _holds_here(proof: ParityProof, bundle: Bundle, device: str) -> bool:
    missing = (proof.precision == "int8" and bundle.int8_model is None) or (
        proof.runtime == "torch" and bundle.weights is None
    )
    return (
        is_offered(proof.choice)
        and not missing
        and proof.version == runtime_version(proof.runtime)
        and proof.processor == processor_of(device)
    )


def _note(verification: Verification) -> str:
    return f"; {verification.note}" if verification.note else ""
