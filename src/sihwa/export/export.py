"""From a trained network to an inspector folder that is proven to decide alike.

Axes: N images, H and W image size, K classes.
"""

import logging
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

import sihwa
from sihwa.dataset import Manifest
from sihwa.decision import TopClassPolicy
from sihwa.evaluation import Evaluation
from sihwa.export.config import ExportConfig
from sihwa.export.int8 import Int8Model, quantise_graph
from sihwa.export.kept_images import choose_images, pack_images
from sihwa.export.proof import prove_bundle, timed_images, without_useless_int8_model
from sihwa.images import available_cores
from sihwa.inspector import (
    Bundle,
    Card,
    ParityProof,
    create_runtime,
    installed_choices,
    measure_speed,
    processor_of,
    write_bundle,
)
from sihwa.model import OPSET, ModelConfig, Network, export_graph
from sihwa.storage import sha256_of_bytes
from sihwa.training import TrainingConfig, read_batches

log = logging.getLogger(__name__)

_SMALL = 4  # NNCF keeps every map of a batch: eight took 5.4 GB in all
_MOST = 360  # images of a split that make or judge the INT8 model


@dataclass(frozen=True)
class Trained:
    """What a run hands over for export.

    Attributes:
        network: Trained and calibrated.
        manifest: Every image with its split.
        probability: Calibrated probabilities of every image, (N, K).
        evaluation: Figures on the test split.
        policy: Turns probabilities into decisions.
        model: How the network was made.
        training: How it was trained.
        seed: The seed of the run.
    """

    network: Network
    manifest: Manifest
    probability: NDArray[np.floating]
    evaluation: Evaluation
    policy: TopClassPolicy
    model: ModelConfig
    training: TrainingConfig
    seed: int


def export_inspector(
    folder: Path, trained: Trained, config: ExportConfig, device: torch.device
) -> tuple[Card, list[ParityProof]]:
    """Export, prove on every test image, and write the inspector folder.

    Args:
        folder: To be made.
        trained: The network and what the card says of it.
        config: What to export and how strictly to prove it.
        device: Where PyTorch runs.

    Raises:
        ParityError: A float32 runtime decides differently from the network; nothing is written.
    """
    network, manifest = trained.network, trained.manifest
    graph = export_graph(network)
    tensors = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    weights = save(tensors)
    bundle = Bundle(_create_card(graph, weights, trained), graph, weights)
    if config.int8:
        bundle = _with_int8_model(bundle, manifest, trained.policy, config.max_int8_flips)
    proof = prove_bundle(bundle, network, manifest, config, device)
    bundle, proof = without_useless_int8_model(bundle, proof)
    card = replace(bundle.card, proof=[item.as_dict() for item in proof])
    kept = choose_images(manifest, trained.probability, config.images)
    write_bundle(folder, replace(bundle, card=card), pack_images(manifest, kept))
    return card, proof


def _with_int8_model(
    bundle: Bundle, manifest: Manifest, policy: TopClassPolicy, allowed_flips: int
) -> Bundle:
    """Add the quickest INT8 model, fitted to training images and judged by calibration ones."""
    log.info("quantising to 8 bits, judged by decisions on calibration images")
    training, calibration = (_some(manifest, split) for split in ("train", "calibration"))
    int8_models = quantise_graph(bundle.graph, training, calibration, policy)
    if not int8_models:
        log.warning("there is no INT8 model: none gives numbers")
        return bundle
    bundles = [_holding(bundle, int8_model, allowed_flips) for int8_model in int8_models]
    runtimes = [
        (place, create_runtime(one, choice))
        for place, one in enumerate(bundles)
        for choice in installed_choices(one)
        if choice.precision == "int8"
    ]
    rates = measure_speed([runtime for _, runtime in runtimes], timed_images(manifest))
    # neither the camera's single image nor a folder is to suffer
    _, place = max(
        (one * many, place) for (one, many), (place, _) in zip(rates, runtimes, strict=True)
    )
    log.info(
        "the quickest has %d of %d layers in float32 and takes a second pass at %.1f %%",
        *(
            int8_models[place].float32_layers,
            int8_models[place].layers,
            100 * int8_models[place].second_passes,
        ),
    )
    return bundles[place]


def _holding(bundle: Bundle, int8_model: Int8Model, allowed_flips: int) -> Bundle:
    facts = {
        "sha256": sha256_of_bytes(int8_model.graph),
        "bytes": len(int8_model.graph),
        "float32_layers": int8_model.float32_layers,
        "margin": int8_model.margin._asdict(),
        "second_passes": int8_model.second_passes,
        "allowed_flips": allowed_flips,
    }
    return replace(bundle, card=replace(bundle.card, int8=facts), int8_model=int8_model.graph)


def _some(manifest: Manifest, split: str) -> list[NDArray[np.uint8]]:
    """Return up to so many images of a split, evenly chosen, in small batches."""
    rows = np.flatnonzero(manifest.split == split)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)]
    return [
        image[start : start + _SMALL]
        for _, image in read_batches(manifest, rows.tolist())
        for start in range(0, len(image), _SMALL)
    ]


def _create_card(graph: bytes, weights: bytes, trained: Trained) -> Card:
    manifest, model = trained.manifest, trained.model
    return Card(
        classes=manifest.classes,
        accept_classes=manifest.accept_classes,
        policy=trained.policy.as_dict(),
        temperature=float(trained.network.temperature),
        network={
            "name": model.name,
            "architecture": model.architecture,
            "input_size": model.input_size,
            "stages": model.stages,
            "embedding_width": trained.network.classifier.in_features,
        },
        weights={
            "source": _weights_source(model),
            "licence": _weights_licence(model),
            "sha256": sha256_of_bytes(weights),
        },
        dataset={
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
            "licence": manifest.licence,
            "count": manifest.counts,
        },
        training={"seed": trained.seed, **asdict(trained.training)},
        metrics=trained.evaluation.as_dict(),
        graph={"sha256": sha256_of_bytes(graph), "bytes": len(graph), "opset": OPSET},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=sihwa.__version__,
        environment=_environment(),
    )


def _weights_source(model: ModelConfig) -> str:
    """Return the setting, or a file's name: paths of the training machine do not ship."""
    return Path(model.weights).name


def _weights_licence(model: ModelConfig) -> str:
    if model.weights == "package":
        return "Apache-2.0"
    return "none: not pretrained" if model.weights == "none" else "see their source"


def _environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor_of("cpu"),
        "cores": available_cores(),
    }
