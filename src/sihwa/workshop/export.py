"""From a trained network to an inspector folder that is proven to decide alike.

Axes: N images, H and W picture size, K classes.
"""

import logging
import platform
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from sihwa import __version__
from sihwa.dataset import Manifest
from sihwa.decision import TopClassPolicy
from sihwa.errors import ParityError
from sihwa.evaluation import Evaluation
from sihwa.inspector import (
    Card,
    Outputs,
    ParityProof,
    card_policy,
    create_runtime,
    installed_choices,
    prove_parity,
    write_bundle,
)
from sihwa.model import OPSET, Network, export_graph
from sihwa.progress import progress_bar
from sihwa.storage import sha256_of_bytes
from sihwa.training import read_batches
from sihwa.workshop.config import TrainConfig

__all__ = ["export_inspector"]

log = logging.getLogger(__name__)

Batch = tuple[list[str], NDArray[np.uint8], Outputs]


def export_inspector(
    folder: Path,
    network: Network,
    manifest: Manifest,
    evaluation: Evaluation,
    policy: TopClassPolicy,
    config: TrainConfig,
    device: torch.device,
) -> tuple[Card, list[ParityProof]]:
    """Export, prove on every test picture, and write the inspector folder.

    Raises:
        ParityError: A float32 runtime decides differently from the network; nothing is written.
    """
    graph = export_graph(network)
    card = _create_card(graph, network, manifest, evaluation, policy, config)
    proof = _prove(graph, card, _reference(network, manifest, device), config)
    card = replace(card, proof=[item.as_dict() for item in proof])
    tensors = {name: tensor.contiguous() for name, tensor in network.cpu().state_dict().items()}
    write_bundle(folder, card, graph, save(tensors))
    return card, proof


def _reference(network: Network, manifest: Manifest, device: torch.device) -> Iterator[Batch]:
    """Run the trained network in PyTorch, float32, on the test pictures."""
    test = np.flatnonzero(manifest.split == "test").tolist()
    path = manifest.table["path"].to_pylist()
    network.to(device).to(memory_format=torch.channels_last)
    with torch.inference_mode(), progress_bar("proving", len(test)) as advance:
        for rows, image in read_batches(manifest, test):
            prediction = network(torch.from_numpy(image).to(device))
            reference = Outputs(*(value.cpu().numpy() for value in prediction))
            yield [path[row] for row in rows], image, reference
            advance(len(rows))


def _prove(
    graph: bytes, card: Card, batches: Iterator[Batch], config: TrainConfig
) -> list[ParityProof]:
    choices = [choice for choice in installed_choices() if choice.precision == "fp32"]
    runtimes = [create_runtime(graph, choice) for choice in choices]
    proofs = prove_parity(
        runtimes, batches, card_policy(card), {"fp32": config.export.max_difference}
    )
    for proof in proofs:
        log.info("%s", proof)
        if not proof.proven:
            raise ParityError(
                f"the export does not decide as the trained network, so it is not written: {proof}"
            )
    return proofs


def _create_card(
    graph: bytes,
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
        weights={"source": config.model.weights, "licence": _weights_licence(config)},
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
        code_version=__version__,
        environment=_environment(),
    )


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
    }
