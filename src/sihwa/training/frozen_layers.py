"""Frozen layers in the fastest runtime available, checked against PyTorch first.

Axes: N images, H and W image size in pixels, C, h and w activation size.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sihwa.errors import ParityError
from sihwa.model import export_activation

log = logging.getLogger(__name__)

FrozenRunner = Callable[[NDArray[np.uint8]], NDArray[np.float16]]
"""Images (N, H, W, 3), uint8 → activations (N, C, h, w), float16."""

TOLERANCE = 1e-3
"""Largest root mean square of the difference, as a share of the activations' own."""


def create_frozen_runner(
    layers: nn.Module, device: torch.device, sample: NDArray[np.uint8]
) -> FrozenRunner:
    """Return a function that runs frozen layers: by OpenVINO on a CPU, by PyTorch on a GPU.

    Args:
        layers: Images → activations.
        device: Device of PyTorch.
        sample: Images (N, H, W, 3) on which both must agree.

    Raises:
        ParityError: They differ.
    """
    reference = _run_torch(layers, device)
    if device.type != "cpu":
        return reference
    runner = _compile(layers)
    difference = relative_difference(runner(sample), reference(sample))
    log.info("frozen layers: OpenVINO, %.1e from PyTorch", difference)
    if not difference <= TOLERANCE:
        raise ParityError(
            f"the frozen layers in OpenVINO differ from PyTorch by {difference:.1e}, "
            f"allowed: {TOLERANCE:.0e}; use training=finetune"
        )
    return runner


def relative_difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the root mean square of the difference over that of `other`."""
    wide = other.astype(np.float64)
    difference = np.square(one.astype(np.float64) - wide).mean()
    return float(np.sqrt(difference / max(np.square(wide).mean(), 1e-30)))


def _run_torch(layers: nn.Module, device: torch.device) -> FrozenRunner:
    resident = layers.requires_grad_(False).eval().to(device)

    @torch.inference_mode()
    def run(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        activation = resident(torch.from_numpy(image).to(device))
        result: NDArray[np.float16] = activation.half().cpu().numpy()
        return result

    return run


def _compile(layers: nn.Module) -> FrozenRunner:
    import openvino

    core: Any = openvino.Core()
    # its default is bfloat16 where the processor has it, and there the resize alone is 24 % off
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(export_activation(layers)), "CPU", settings)
    request = compiled.create_infer_request()

    def run(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        result: NDArray[np.float16] = request.infer({"image": image})[0].astype(np.float16)
        return result

    return run
