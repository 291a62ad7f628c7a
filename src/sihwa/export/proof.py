"""The proof at export: every runtime and precision present against the trained network.

Axes: N images, H and W image size, K classes.
"""

import logging
import operator
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from sihwa.dataset import Manifest
from sihwa.errors import ParityError
from sihwa.export.config import ExportConfig
from sihwa.inspector import (
    MOST_TIMED,
    TOLERANCE,
    Bundle,
    Outputs,
    ParityProof,
    Runtime,
    RuntimeChoice,
    TimedImages,
    card_policy,
    create_runtime,
    in_other_sizes,
    installed_choices,
    measure_speed,
    prove_parity,
)
from sihwa.inspector.image_list import spread
from sihwa.model import Network, predict, use_exact_float32
from sihwa.terminal.progress import progress_bar
from sihwa.training import read_batches

log = logging.getLogger(__name__)

_RESIZED = 32  # test images that are also compared in other sizes
# an INT8 model that is nowhere a tenth faster is not worth another file to trust
_LEAST_GAIN = 1.1

_RATES: dict[str, Callable[[ParityProof], float]] = {
    "one by one": operator.attrgetter("images_per_second_1"),
    "in batches of 32": operator.attrgetter("images_per_second_32"),
}

_SAME = RuntimeChoice("torch", "cpu", "fp32")

Batch = tuple[list[str], NDArray[np.uint8], Outputs]


def prove_bundle(
    bundle: Bundle,
    network: Network,
    manifest: Manifest,
    config: ExportConfig,
    device: torch.device,
) -> list[ParityProof]:
    """Compare every combination present with the network in PyTorch, float32; measure its speed.

    Args:
        bundle: What is to ship.
        network: As it was trained.
        manifest: Its test images are compared, some of them in several sizes.
        config: Tolerance of float32, and flips that the INT8 model may make.
        device: Where the network runs; the combinations run on the CPU, and there too.

    Raises:
        ParityError: One in float32 decides otherwise: the inspector must not ship.
    """
    devices = ["cpu", *([str(device)] if device.type == "cuda" else [])]
    runtimes = [create_runtime(bundle, choice) for choice in installed_choices(bundle, devices)]
    sample: list[Batch] = []
    proofs = _compare(
        [runtime for runtime in runtimes if runtime.choice != _SAME],
        _reference(network, manifest, device, sample),
        bundle,
        config,
    )
    # the reference's own code with its own weights, read back: a sample shows what could be wrong
    proofs += _compare([r for r in runtimes if r.choice == _SAME], sample, bundle, config)
    runtimes.sort(key=lambda runtime: runtime.choice == _SAME)
    for proof in proofs:
        if proof.proven:
            log.info("%s", proof)
        elif proof.precision == "fp32":
            raise ParityError(
                f"the export does not decide as the trained network, so it is not written: {proof}"
            )
        else:
            log.warning("refused, and named so in the card: %s", proof)
    return _with_speed(proofs, runtimes, manifest)


def timed_images(manifest: Manifest) -> NDArray[np.uint8]:
    """Return calibration images that speed is measured on, (N, H, W, 3)."""
    rows = np.flatnonzero(manifest.split == "calibration").tolist()
    timed = TimedImages()
    for _, image in read_batches(manifest, spread(rows, MOST_TIMED)):
        for one in image:
            timed.add(one)
    some = timed.image
    assert some is not None, "no run is without calibration images"
    return some


def _compare(
    runtimes: list[Runtime], batches: Iterable[Batch], bundle: Bundle, config: ExportConfig
) -> list[ParityProof]:
    return prove_parity(
        runtimes,
        batches,
        card_policy(bundle.card),
        {**TOLERANCE, "fp32": config.max_difference},
        {"int8": config.max_int8_flips},
    )


def without_useless_int8_model(
    bundle: Bundle, proofs: list[ParityProof]
) -> tuple[Bundle, list[ParityProof]]:
    """Return bundle and proofs without the INT8 model, if it is refused or nowhere faster."""
    if bundle.int8_model is None:
        return bundle, proofs
    int8_models = [proof for proof in proofs if proof.precision == "int8"]
    others = [proof for proof in proofs if proof.precision != "int8" and proof.proven]
    proven = [proof for proof in int8_models if proof.proven]
    if not proven:
        return _without_int8_model(
            bundle, proofs, f"it is refused: {min(int8_models, key=lambda p: p.flips)}"
        )
    slower = []
    for manner, rate in _RATES.items():
        best, rival = max(proven, key=rate), max(others, key=rate)
        if rate(best) >= _LEAST_GAIN * rate(rival):
            return bundle, proofs
        slower.append(
            f"{rate(best):.0f} images/s by {best.choice}, {rate(rival):.0f} by {rival.choice}, "
            f"{manner}"
        )
    return _without_int8_model(bundle, proofs, f"it is not really faster here: {'; '.join(slower)}")


def _flips(proof: ParityProof) -> int:
    return proof.flips


def _without_int8_model(
    bundle: Bundle, proofs: list[ParityProof], reason: str
) -> tuple[Bundle, list[ParityProof]]:
    log.warning("the INT8 model is dropped: %s", reason)
    card = replace(bundle.card, int8=None)
    left = [proof for proof in proofs if proof.precision != "int8"]
    return Bundle(card, bundle.graph, bundle.weights), left


def _reference(
    network: Network, manifest: Manifest, device: torch.device, sample: list[Batch]
) -> Iterator[Batch]:
    """Run the trained network in PyTorch on the test images, and on some in other sizes.

    Those in other sizes are also added to `sample`.
    """
    test = np.flatnonzero(manifest.split == "test").tolist()
    path = manifest.table["path"].to_pylist()
    resized = set(test[:: max(1, len(test) // _RESIZED)])
    use_exact_float32()
    network.to(device).to(memory_format=torch.channels_last)

    def judged(paths: list[str], image: NDArray[np.uint8]) -> Batch:
        prediction = predict(network, torch.from_numpy(image).to(device))
        return paths, image, Outputs(*(value.cpu().numpy() for value in prediction))

    with progress_bar("proving", len(test)) as advance:
        for rows, image in read_batches(manifest, test):
            yield judged([path[row] for row in rows], image)
            some = [place for place, row in enumerate(rows) if row in resized]
            if some:
                for names, images in in_other_sizes([path[rows[p]] for p in some], image[some]):
                    sample.append(judged(names, images))
                    yield sample[-1]
            advance(len(rows))


def _with_speed(
    proofs: list[ParityProof], runtimes: list[Runtime], manifest: Manifest
) -> list[ParityProof]:
    rates = measure_speed(runtimes, timed_images(manifest))
    measured = [
        replace(proof, images_per_second_1=round(one, 1), images_per_second_32=round(many, 1))
        for proof, (one, many) in zip(proofs, rates, strict=True)
    ]
    for proof in measured:
        log.info(
            "%s: %.0f images/s one by one, %.0f in batches of 32",
            proof.choice,
            proof.images_per_second_1,
            proof.images_per_second_32,
        )
    return measured
