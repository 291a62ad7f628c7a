"""The proof at export: every installed runtime against the trained network.

`check_may_ship` decides whether an inspector may ship; `drop_useless_int8_model` whether its INT8
model may.

Axes: N images, H and W image size.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.errors import ParityError
from sihwa.inspector import (
    MOST_TIMED,
    Bundle,
    Outputs,
    ParityProof,
    ProofImages,
    RuntimeChoice,
    create_runtime,
    installed_choices,
    prove,
    timed_images,
)
from sihwa.inspector.image_list import spread
from sihwa.model import Network, predict, use_exact_float32
from sihwa.training import read_batches

log = logging.getLogger(__name__)

_LEAST_GAIN = 1.1  # an INT8 model that is not a tenth faster is not worth another file to trust
_NETWORK_CODE = RuntimeChoice("torch", "cpu", "fp32")


def check_may_ship(
    bundle: Bundle,
    network: Network,
    manifest: Manifest,
    max_difference: float,
    device: torch.device,
) -> list[ParityProof]:
    """Compare every installed runtime with the network in PyTorch, float32, on the test images.

    The network runs on `device`; the runtimes run on the CPU, and there too. A probability of a
    float32 runtime may differ by at most `max_difference`. Calibration images are timed.

    Raises:
        ParityError: A float32 runtime is refused: the inspector must not ship.
    """
    devices = ["cpu", *([str(device)] if device.type == "cuda" else [])]
    runtimes = [create_runtime(bundle, choice) for choice in installed_choices(bundle, devices)]
    proofs = prove(
        network_outputs(network, device),
        runtimes,
        proof_images(manifest),
        bundle.card,
        {"fp32": max_difference},
        sampled=_NETWORK_CODE,
    )
    for proof in proofs:
        if proof.proven:
            log.info("%s; %s", proof.verdict(), proof.speed())
        elif proof.precision == "fp32":
            raise ParityError(
                "the inspector is not written, because it decides differently from the trained "
                f"network: {proof.verdict()}; worst image: {proof.worst_path}"
            )
        else:
            log.warning("%s; worst image: %s", proof.verdict(), proof.worst_path)
    return proofs


def network_outputs(
    network: Network, device: torch.device
) -> Callable[[NDArray[np.uint8]], Outputs]:
    """Return what a network gives for images (N, H, W, 3) in PyTorch, float32, on `device`."""
    use_exact_float32()
    network.to(device).to(memory_format=torch.channels_last)

    def outputs(image: NDArray[np.uint8]) -> Outputs:
        prediction = predict(network, torch.from_numpy(image).to(device))
        return Outputs(*(value.cpu().numpy() for value in prediction))

    return outputs


def proof_images(manifest: Manifest) -> ProofImages:
    """Return the test images to prove runtimes on, and calibration images to time them on."""
    test = np.flatnonzero(manifest.split == "test").tolist()
    path = manifest.table["path"].to_pylist()
    batches = (([path[row] for row in rows], image) for rows, image in read_batches(manifest, test))
    return ProofImages(batches, len(test), lambda: calibration_images(manifest))


def calibration_images(manifest: Manifest) -> NDArray[np.uint8]:
    """Return calibration images of one size to measure speed on, (N, H, W, 3)."""
    rows = np.flatnonzero(manifest.split == "calibration").tolist()
    batches = read_batches(manifest, spread(rows, MOST_TIMED))
    images = timed_images(image for _, batch in batches for image in batch)
    assert images is not None, "every run has calibration images"
    return images


def drop_useless_int8_model(
    bundle: Bundle, proofs: list[ParityProof]
) -> tuple[Bundle, list[ParityProof]]:
    """Drop the INT8 model and its proofs if it is refused, or not faster than any other."""
    reason = _why_useless(proofs) if bundle.int8_model is not None else ""
    if not reason:
        return bundle, proofs
    log.warning("the INT8 model is dropped: %s", reason)
    left = [proof for proof in proofs if proof.precision != "int8"]
    card = structs.replace(bundle.card, int8=None)
    return replace(bundle, card=card, int8_model=None), left


def _why_useless(proofs: list[ParityProof]) -> str:
    int8 = [proof for proof in proofs if proof.precision == "int8"]
    proven = [proof for proof in int8 if proof.proven]
    if not proven:
        return min(int8, key=lambda proof: proof.flips).verdict()
    others = [proof for proof in proofs if proof.precision != "int8" and proof.proven]
    (one, many), (rival_one, rival_many) = _best_rates(proven), _best_rates(others)
    if one >= _LEAST_GAIN * rival_one or many >= _LEAST_GAIN * rival_many:
        return ""
    return (
        f"it is not a tenth faster: {one:.0f} images/s one by one and {many:.0f} in batches of 32, "
        f"{rival_one:.0f} and {rival_many:.0f} without it"
    )


def _best_rates(proofs: list[ParityProof]) -> tuple[float, float]:
    return (
        max(proof.images_per_second_1 or 0 for proof in proofs),
        max(proof.images_per_second_32 or 0 for proof in proofs),
    )
