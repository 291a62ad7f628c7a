"""Which runtime decides: the fastest that is proven on this machine, else the reference."""

import operator
from collections.abc import Iterable

from sihwa.errors import RuntimeUnavailable
from sihwa.inspector.machine import processor_of
from sihwa.inspector.parity_proof import ParityProof
from sihwa.inspector.parts import Bundle
from sihwa.inspector.runtime import (
    REFERENCE,
    RuntimeChoice,
    check_choice,
    is_offered,
    runtime_version,
    why_none,
)
from sihwa.inspector.verification import Verification

_FALLBACK = {"cpu": REFERENCE.runtime, "cuda": "torch"}
_ADVICE = "run `sihwa verify INSPECTOR` here"


def choose_runtime(
    bundle: Bundle,
    verification: Verification,
    runtime: str,
    device: str,
    precision: str,
    batch_size: int = 1,
) -> tuple[RuntimeChoice, str]:
    """Return a combination and, in a few words, why it was chosen.

    Args:
        bundle: The inspector.
        verification: What `sihwa verify` found on this machine.
        runtime: A runtime's name, or `auto`.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: A precision, or `auto`.
        batch_size: Images that will come at once: 1 goes by the speed one by one, more by that
            in batches of 32.

    Raises:
        RuntimeUnavailable: There is no such combination; its proof refuses it here; or it has
            fewer bits than float32 and no proof that holds here.
    """
    check_choice(runtime, device, precision)
    fitting = [
        proof
        for proof in _holding_here(bundle, verification, device)
        if runtime in ("auto", proof.runtime) and precision in ("auto", proof.precision)
    ]
    proven = [proof for proof in fitting if proof.proven]
    if proven:
        measured = operator.attrgetter(
            "images_per_second_1" if batch_size == 1 else "images_per_second_32"
        )
        best = max(proven, key=lambda proof: measured(proof) or 0)
        manner = "one by one" if batch_size == 1 else "in batches of 32"
        speed = f", {measured(best):.0f} images/s {manner}" if measured(best) else ""
        return _choice(best, device), _why(best, len(proven), speed, verification)
    fallback = RuntimeChoice(
        _FALLBACK[device.partition(":")[0]] if runtime == "auto" else runtime,
        device,
        "fp32" if precision == "auto" else precision,
    )
    is_low = fallback.precision != "fp32"
    refused = next((p for p in fitting if is_low or _choice(p, device) == fallback), None)
    # nothing refuses the reference: it is what the others are compared with
    if refused is not None and fallback != REFERENCE:
        raise RuntimeUnavailable(_refusal(_choice(refused, device), refused))
    if is_low:
        faults = why_none(bundle, device, runtime, fallback.precision)
        if faults:
            raise RuntimeUnavailable(f"precision={precision} on {device} cannot run here: {faults}")
        wanted = f"{'any runtime' if runtime == 'auto' else runtime} on {device} in {precision}"
        raise RuntimeUnavailable(
            f"{wanted} needs a proof on this machine, and there is none{_note(verification)}: "
            f"{_ADVICE}, or use precision=auto"
        )
    if fallback == REFERENCE:
        return fallback, f"the reference; no other is proven here{_note(verification)}"
    return fallback, f"not proven on this machine{_note(verification)}: {_ADVICE}"


def why_not(bundle: Bundle, verification: Verification, choice: RuntimeChoice) -> str | None:
    """Return why a combination is not known to decide here as it should; None where it is.

    The reference needs no proof.
    """
    holding = _holding_here(bundle, verification, choice.device)
    proof = next((p for p in holding if _choice(p, choice.device) == choice), None)
    if proof is not None and not proof.proven and choice != REFERENCE:
        return _refusal(choice, proof)
    if proof is None and choice != REFERENCE:
        return f"not proven on this machine{_note(verification)}: {_ADVICE}"
    return None


def _refusal(choice: RuntimeChoice, proof: ParityProof) -> str:
    return (
        f"{choice} is refused on this machine: {proof.flips} of {proof.images} decisions "
        f"flip, greatest difference {proof.greatest_difference:.1e} (allowed "
        f"{proof.tolerance:.0e}). Use precision=auto, or another runtime"
    )


def _holding_here(bundle: Bundle, verification: Verification, device: str) -> Iterable[ParityProof]:
    """Return the proofs that hold on this machine: of this verification, else of the export."""
    kind = device.partition(":")[0]
    # a verification that cannot be read may have refused what the export had proven
    exported = [] if verification.is_damaged else bundle.card.proof
    latest: dict[tuple[str, str], ParityProof] = {}
    for proof in (*exported, *verification.proof):
        if proof.device == kind and _runs_here(proof, bundle, device):
            latest[proof.runtime, proof.precision] = proof
    return latest.values()


def _runs_here(proof: ParityProof, bundle: Bundle, device: str) -> bool:
    if not is_offered(_choice(proof, device)):
        return False
    missing = (proof.precision == "int8" and bundle.int8_model is None) or (
        proof.runtime == "torch" and bundle.weights is None
    )
    return (
        not missing
        and proof.version == runtime_version(proof.runtime)
        and proof.processor == processor_of(device)
    )


def _choice(proof: ParityProof, device: str) -> RuntimeChoice:
    return RuntimeChoice(proof.runtime, device, proof.precision)


def _why(best: ParityProof, count: int, speed: str, verification: Verification) -> str:
    where = "verified" if best in verification.proof else "proven at export"
    fastest = f", fastest of {count}" if count > 1 else ""
    return f"{where} in {best.images} comparisons{fastest}{speed}{_note(verification)}"


def _note(verification: Verification) -> str:
    return f"; {verification.note}" if verification.note else ""
