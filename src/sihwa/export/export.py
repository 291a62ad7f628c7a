"""From a trained network to an inspector folder that is proven to decide like it.

Axes: N images, H and W image size, K classes.
"""

import logging
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from msgspec import structs
from numpy.typing import NDArray
from safetensors.torch import save

import sihwa
from sihwa.dataset import Manifest
from sihwa.decision import Policy
from sihwa.decision.calibration import Claim
from sihwa.evaluation import Evaluation
from sihwa.export.config import ExportConfig
from sihwa.export.fixed_size import add_fixed_graph
from sihwa.export.int8 import Int8Model, quantise_graph
from sihwa.export.kept_images import choose_images, pack_images
from sihwa.export.ship_check import calibration_images, check_may_ship, drop_useless_int8_model
from sihwa.images import available_cores, batches_by_size, shrink
from sihwa.inspector import (
    Bundle,
    Card,
    ClaimFacts,
    DatasetFacts,
    FramingFacts,
    GraphFacts,
    Int8Facts,
    MarginFacts,
    NetworkFacts,
    ParityProof,
    WeightsFacts,
    create_runtime,
    installed_choices,
    measure_speed,
    policy_facts,
    processor_of,
    write_bundle,
)
from sihwa.inspector.calibration_file import CalibrationOutputs, pack_calibration
from sihwa.model import OPSET, Framing, ModelConfig, Network, export_graph
from sihwa.storage import sha256_of_bytes
from sihwa.training import TrainingConfig, read_batches

log = logging.getLogger(__name__)

_INT8_BATCH = 4  # NNCF keeps every feature map of a batch: batches of eight took 5.4 GB
_INT8_IMAGES = 360  # at most so many of a split fit an INT8 model, and as many judge it


@dataclass(frozen=True)
class Trained:
    """A trained network with everything that its inspector's card states."""

    network: Network
    """Trained and calibrated."""
    manifest: Manifest
    probability: NDArray[np.floating]
    """Calibrated probabilities of every image, (N, K)."""
    evaluation: Evaluation
    """Figures on the test split."""
    policy: Policy
    claims: tuple[Claim, ...]
    """What the calibration images prove of the policy."""
    calibration: CalibrationOutputs
    """What the policy was made from."""
    model: ModelConfig
    training: TrainingConfig
    seed: int


def export_inspector(
    folder: Path, trained: Trained, config: ExportConfig, device: torch.device
) -> tuple[Card, list[ParityProof]]:
    """Export, prove on every test image, and write the inspector folder, which must not exist yet.

    PyTorch runs on `device`. There is one proof per installed runtime and precision.

    Raises:
        ParityError: A float32 runtime decides differently from the network; nothing is written.
    """
    network, manifest = trained.network, trained.manifest
    graph = export_graph(network)
    tensors = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    weights = save(tensors)
    calibration = pack_calibration(trained.calibration)
    bundle = Bundle(_create_card(graph, weights, trained), graph, weights, calibration=calibration)
    if config.int8:
        bundle = _with_int8_model(bundle, trained, config.max_int8_flips)
    if config.fixed_size:
        bundle = add_fixed_graph(bundle, network, manifest, config.max_difference, device)
    proof = check_may_ship(bundle, network, manifest, config.max_difference, device)
    bundle, proof = drop_useless_int8_model(bundle, proof)
    card = structs.replace(bundle.card, proof=tuple(proof))
    kept = choose_images(manifest, trained.probability, config.images)
    write_bundle(folder, replace(bundle, card=card), pack_images(manifest, kept))
    return card, proof


def _with_int8_model(bundle: Bundle, trained: Trained, allowed_flips: int) -> Bundle:
    """Add the fastest INT8 model, fitted to training images and judged by calibration images."""
    manifest, policy, framing = trained.manifest, trained.policy, trained.network.framing
    log.info("quantising to INT8, judged by decisions on calibration images")
    training, calibration = (
        _some_images(manifest, split, framing) for split in ("train", "calibration")
    )
    int8_models = quantise_graph(bundle.graph, training, calibration, policy)
    if not int8_models:
        log.warning("no INT8 model was written: every candidate gave NaN or inf")
        return bundle
    bundles = [_add_int8_model(bundle, int8_model, allowed_flips) for int8_model in int8_models]
    runtimes = [
        (place, create_runtime(one, choice))
        for place, one in enumerate(bundles)
        for choice in installed_choices(one)
        if choice.precision == "int8"
    ]
    rates = measure_speed([runtime for _, runtime in runtimes], calibration_images(manifest))
    # the product, so that speed counts both for single images and for batches
    _, best = max(
        (one * many, place) for (one, many), (place, _) in zip(rates, runtimes, strict=True)
    )
    log.info(
        "the fastest keeps %d of %d layers in float32 and needs a second pass at %.1f %%",
        int8_models[best].float32_layers,
        int8_models[best].layers,
        100 * int8_models[best].second_passes,
    )
    return bundles[best]


def _add_int8_model(bundle: Bundle, int8_model: Int8Model, allowed_flips: int) -> Bundle:
    facts = Int8Facts(
        sha256=sha256_of_bytes(int8_model.graph),
        bytes=len(int8_model.graph),
        float32_layers=int8_model.float32_layers,
        margin=MarginFacts(**int8_model.margin._asdict()),
        second_passes=int8_model.second_passes,
        allowed_flips=allowed_flips,
    )
    card = structs.replace(bundle.card, int8=facts)
    return replace(bundle, card=card, int8_model=int8_model.graph)


def _some_images(manifest: Manifest, split: str, framing: Framing) -> list[NDArray[np.uint8]]:
    """Return evenly chosen images of a split in small batches, (N, H, W, 3) each.

    None is larger than the network has a use for: all are in memory at once.
    """
    rows = np.flatnonzero(manifest.split == split)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _INT8_IMAGES)).astype(int)]
    batches = batches_by_size(
        ((), shrink(image, framing.useful_size(*image.shape[:2])))
        for _, images in read_batches(manifest, rows.tolist())
        for image in images
    )
    return [
        images[start : start + _INT8_BATCH]
        for _, images in batches
        for start in range(0, len(images), _INT8_BATCH)
    ]


def _create_card(graph: bytes, weights: bytes, trained: Trained) -> Card:
    manifest, model = trained.manifest, trained.model
    return Card(
        classes=manifest.classes,
        accept_classes=manifest.accept_classes,
        policy=policy_facts(trained.policy),
        claims=tuple(ClaimFacts(**asdict(claim)) for claim in trained.claims),
        temperature=float(trained.network.temperature),
        network=network_facts(trained.network, model),
        weights=WeightsFacts(
            source=Path(model.weights).name,  # of a file no more: paths of this machine do not ship
            licence=_weights_licence(model),
            sha256=sha256_of_bytes(weights),
        ),
        dataset=DatasetFacts(
            name=manifest.name,
            fingerprint=manifest.fingerprint,
            licence=manifest.licence,
            count=manifest.counts,
        ),
        training={"seed": trained.seed, **asdict(trained.training)},
        metrics=trained.evaluation.as_dict(),
        graph=GraphFacts(sha256=sha256_of_bytes(graph), bytes=len(graph), opset=OPSET),
        white=manifest.decoding.white,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=sihwa.__version__,
        environment={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "system": platform.system(),
            "machine": platform.machine(),
            "processor": processor_of("cpu"),
            "cores": available_cores(),
        },
    )


def network_facts(network: Network, model: ModelConfig) -> NetworkFacts:
    """Return what a card says of a network and what it sees of an image."""
    framing, seen = network.framing, None
    tall, wide = framing.input_size
    if not framing.is_whole:
        seen = FramingFacts(
            fit="letterbox" if framing.fit == "letterbox" else "stretch",
            tiles=framing.tiles,
            tile_overlap=framing.overlap,
            region=framing.region,
            mask=framing.mask,
        )
    return NetworkFacts(
        name=model.name,
        architecture=model.architecture,
        input_size=tall if tall == wide else (tall, wide),
        stages=model.stages,
        embedding_width=network.classifier.in_features,
        framing=seen,
    )


def _weights_licence(model: ModelConfig) -> str:
    if model.weights == "package":
        return "Apache-2.0"
    return "none: not pretrained" if model.weights == "none" else "see their source"
