"""From a trained network to an inspector folder that is proven to decide alike.

Axes: N images, H and W picture size, K classes.
"""

import logging
import os
import platform
from dataclasses import asdict, replace
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
from sihwa.model import OPSET, Network, export_graph
from sihwa.storage import sha256_of_bytes
from sihwa.training import read_batches
from sihwa.workshop.config import TrainConfig
from sihwa.workshop.int8 import Twin, quantise_graph
from sihwa.workshop.kept_pictures import choose_pictures, pack_pictures
from sihwa.workshop.proof import prove_bundle, timed_pictures, without_useless_twin

__all__ = ["export_inspector"]

log = logging.getLogger(__name__)

_SMALL = 4  # NNCF keeps every map of a batch: eight took 5.4 GB in all
_MOST = 360  # pictures of a split that make or judge the 8-bit twin


def export_inspector(
    folder: Path,
    network: Network,
    manifest: Manifest,
    evaluation: Evaluation,
    policy: TopClassPolicy,
    probability: NDArray[np.floating],
    config: TrainConfig,
    device: torch.device,
) -> tuple[Card, list[ParityProof]]:
    """Export, prove on every test picture, and write the inspector folder.

    Args:
        folder: To be made.
        network: Trained and calibrated.
        manifest: Every picture with its split.
        evaluation: Figures on the test split.
        policy: Turns probabilities into decisions.
        probability: Calibrated probabilities of every picture, (N, K).
        config: All settings of the run.
        device: Where PyTorch runs.

    Raises:
        ParityError: A float32 runtime decides differently from the network; nothing is written.
    """
    graph = export_graph(network)
    tensors = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    weights = save(tensors)
    card = _create_card(graph, weights, network, manifest, evaluation, policy, config)
    bundle = Bundle(card, graph, weights)
    if config.export.int8:
        bundle = _with_twin(bundle, manifest, policy, config.export.max_int8_flips)
    proof = prove_bundle(bundle, network, manifest, config.export, device)
    bundle, proof = without_useless_twin(bundle, proof)
    card = replace(bundle.card, proof=[item.as_dict() for item in proof])
    kept = choose_pictures(manifest, probability, config.export.pictures)
    write_bundle(folder, replace(bundle, card=card), pack_pictures(manifest, kept))
    return card, proof


def _with_twin(
    bundle: Bundle, manifest: Manifest, policy: TopClassPolicy, allowed_flips: int
) -> Bundle:
    """Add the quickest 8-bit twin, fitted to training pictures and judged by calibration ones."""
    log.info("quantising to 8 bits, judged by decisions on calibration pictures")
    training, calibration = (_some(manifest, split) for split in ("train", "calibration"))
    twins = quantise_graph(bundle.graph, training, calibration, policy)
    if not twins:
        log.warning("there is no 8-bit twin: none gives numbers")
        return bundle
    bundles = [_holding(bundle, twin, allowed_flips) for twin in twins]
    runtimes = [
        (place, create_runtime(one, choice))
        for place, one in enumerate(bundles)
        for choice in installed_choices(one)
        if choice.precision == "int8"
    ]
    rates = measure_speed([runtime for _, runtime in runtimes], timed_pictures(manifest))
    # neither the camera's single picture nor a folder is to suffer
    _, place = max(
        (one * many, place) for (one, many), (place, _) in zip(rates, runtimes, strict=True)
    )
    log.info(
        "the quickest has %d of %d layers in float32 and takes a second look at %.1f %%",
        *(twins[place].float32_layers, twins[place].layers, 100 * twins[place].second_looks),
    )
    return bundles[place]


def _holding(bundle: Bundle, twin: Twin, allowed_flips: int) -> Bundle:
    facts = {
        "sha256": sha256_of_bytes(twin.graph),
        "bytes": len(twin.graph),
        "float32_layers": twin.float32_layers,
        "margin": twin.margin._asdict(),
        "second_looks": twin.second_looks,
        "allowed_flips": allowed_flips,
    }
    return replace(bundle, card=replace(bundle.card, int8=facts), twin=twin.graph)


def _some(manifest: Manifest, split: str) -> list[NDArray[np.uint8]]:
    """Return up to so many pictures of a split, evenly chosen, in small batches."""
    rows = np.flatnonzero(manifest.split == split)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)]
    return [
        image[start : start + _SMALL]
        for _, image in read_batches(manifest, rows.tolist())
        for start in range(0, len(image), _SMALL)
    ]


def _create_card(
    graph: bytes,
    weights: bytes,
    network: Network,
    manifest: Manifest,
    evaluation: Evaluation,
    policy: TopClassPolicy,
    config: TrainConfig,
) -> Card:
    return Card(
        classes=manifest.classes,
        accept_classes=manifest.accept_classes,
        policy=policy.as_dict(),
        temperature=float(network.temperature),
        network={
            "name": config.model.name,
            "architecture": config.model.architecture,
            "input_size": config.model.input_size,
            "stages": config.model.stages,
            "embedding_width": network.classifier.in_features,
        },
        weights={
            "source": _weights_source(config),
            "licence": _weights_licence(config),
            "sha256": sha256_of_bytes(weights),
        },
        dataset={
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
            "licence": manifest.licence,
            "count": manifest.counts,
        },
        training={"seed": config.seed, **asdict(config.training)},
        metrics=evaluation.as_dict(),
        graph={"sha256": sha256_of_bytes(graph), "bytes": len(graph), "opset": OPSET},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=sihwa.__version__,
        environment=_environment(),
    )


def _weights_source(config: TrainConfig) -> str:
    """Return the setting, or a file's name: paths of the training machine do not ship."""
    return Path(config.model.weights).name


def _weights_licence(config: TrainConfig) -> str:
    if config.model.weights == "package":
        return "Apache-2.0"
    return "none: not pretrained" if config.model.weights == "none" else "see their source"


def _environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor_of("cpu"),
        "cores": os.cpu_count(),
    }
