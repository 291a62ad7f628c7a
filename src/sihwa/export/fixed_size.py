"""The fixed-size graph of an inspector, proven in ONNX Runtime and in OpenCV.

Axes: N images, S sides of the network's input.
"""

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnxruntime
import torch
from msgspec import structs
from numpy.typing import NDArray
from PIL import Image

from sihwa.dataset import Manifest
from sihwa.errors import ParityError
from sihwa.export.ship_check import network_outputs, proof_images
from sihwa.inspector import Bundle, FixedSizeFacts, Outputs, ParityProof, RuntimeChoice, compare
from sihwa.model import Network, export_fixed_graph
from sihwa.storage import sha256_of_bytes

log = logging.getLogger(__name__)

Pixels = NDArray[np.float32]
Images = NDArray[np.uint8]
Forward = Callable[[Pixels], list[NDArray[np.float32]]]


class FixedSizeRuntime:
    """A fixed-size graph behind a resize: images of any size, one by one.

    Args:
        name: Of the library.
        forward: Runs pixels (1, 3, S, S) and returns the outputs of the graph.
        resize: Makes pixels (1, 3, S, S), 0 to 255, of an image (H, W, 3).
    """

    def __init__(self, name: str, forward: Forward, resize: Callable[[Images], Pixels]) -> None:
        self.choice = RuntimeChoice(name, "cpu", "fp32")
        self._forward, self._resize = forward, resize

    def run(self, image: Images) -> Outputs:
        """Run images (N, H, W, 3), uint8 RGB."""
        rows = [self._forward(self._resize(one)) for one in image]
        probability, evidence, embedding, unknown = map(np.concatenate, zip(*rows, strict=True))
        return Outputs(probability, evidence, embedding, unknown[:, 0])


def add_fixed_graph(
    bundle: Bundle,
    network: Network,
    manifest: Manifest,
    max_difference: float,
    device: torch.device,
) -> Bundle:
    """Add a fixed-size graph that decides like the network, which runs on `device`, on test images.

    Raises:
        ParityError: It decides otherwise, or a probability differs by more than `max_difference`.
    """
    graph = export_fixed_graph(network)
    sides = network.framing.input_size
    runs = {"onnxruntime": (_onnxruntime(graph), onnxruntime.__version__), **_opencv(graph, sides)}

    def exactly(image: Images) -> Pixels:
        resized: Pixels = network.preprocessing.resize(torch.from_numpy(image[None])).numpy()
        return resized

    def with_pillow(image: Images) -> Pixels:
        return resize_with_pillow(image, sides)

    candidates = [FixedSizeRuntime(name, run, exactly) for name, (run, _) in runs.items()]
    candidates.append(FixedSizeRuntime("onnxruntime", runs["onnxruntime"][0], with_pillow))
    tolerance = {"fp32": max_difference}
    images = proof_images(manifest)
    log.info("proving the fixed-size graph")
    *found, pillow = compare(
        network_outputs(network, device), candidates, images, bundle.card, tolerance
    )
    versions = [version for _, version in runs.values()]
    proofs = [structs.replace(a, version=b) for a, b in zip(found, versions, strict=True)]
    _check(proofs)
    log.info("with Pillow's resize %d of %d decisions flip", pillow.flips, pillow.images)
    facts = FixedSizeFacts(
        sha256=sha256_of_bytes(graph),
        bytes=len(graph),
        input=(1, 3, *sides),
        proof=tuple(proofs),
        pillow_flips=pillow.flips,
    )
    card = structs.replace(bundle.card, fixed_size=facts)
    return replace(bundle, card=card, fixed_graph=graph)


def resize_with_pillow(image: Images, sides: tuple[int, int]) -> Pixels:
    """Return pixels (1, 3, S, S) of an image (H, W, 3) as most programs make them: in 8 bits."""
    height, width = sides
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).transpose(2, 0, 1)[None]


def _check(proofs: list[ParityProof]) -> None:
    for proof in proofs:
        if not proof.proven:
            raise ParityError(
                "the inspector is not written, because its fixed-size graph decides differently "
                f"from the trained network: {proof.verdict()}; worst image: {proof.worst_path}. "
                "Leave out export.fixed_size=true"
            )
        log.info("fixed-size graph: %s", proof.verdict())


def _onnxruntime(graph: bytes) -> Forward:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(list(Outputs._fields), {"pixels": pixels})


def _opencv(graph: bytes, sides: tuple[int, int]) -> dict[str, tuple[Forward, str]]:
    """Return how OpenCV runs a graph, and its version; nothing, with a warning, if it cannot.

    With some networks OpenCV ends its process, so another process tries it first.
    """
    words = [sys.executable, "-c", _TRIAL, *map(str, sides)]
    trial = subprocess.run(words, input=graph, capture_output=True, check=False)
    if trial.returncode:
        lines = trial.stderr.decode(errors="replace").split("\n")
        reason = " ".join(lines[-2:]).strip() or f"its process ended with {trial.returncode}"
        log.warning("OpenCV cannot run the fixed-size graph, so it is not proven there: %s", reason)
        return {}
    import cv2

    network = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))

    def forward(pixels: Pixels) -> list[NDArray[np.float32]]:
        network.setInput(pixels, "pixels")
        # the next call may write into what this one returned
        return [np.array(value) for value in network.forward(list(Outputs._fields))]

    return {"opencv": (forward, cv2.__version__)}


_TRIAL = """
import sys, cv2, numpy as np
network = cv2.dnn.readNetFromONNX(np.frombuffer(sys.stdin.buffer.read(), np.uint8))
network.setInput(np.zeros((1, 3, *map(int, sys.argv[1:])), np.float32), "pixels")
network.forward(["probability", "evidence", "embedding", "unknown"])
"""
