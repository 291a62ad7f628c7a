"""A frozen trunk in the fastest runtime at hand, checked against PyTorch before it is trusted.

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

TrunkRunner = Callable[[NDArray[np.uint8]], NDArray[np.float16]]
"""Images (N, H, W, 3), uint8 → activations (N, C, h, w), float16."""

TOLERANCE = 1e-3
"""Greatest root mean square difference, as a share of the activations' own."""


def create_trunk_runner(
    trunk: nn.Module, device: torch.device, sample: NDArray[np.uint8]
) -> TrunkRunner:
    """Return what runs a trunk: OpenVINO on a CPU, PyTorch on a GPU.

    Args:
        trunk: Images → activations.
        device: Where PyTorch would run.
        sample: Real images (N, H, W, 3) on which the two must agree.

    Raises:
        ParityError: They do not.
    """
    reference = _run_torch(trunk, device)
    if device.type != "cpu":
        return reference
    runner = _compile(trunk)
    difference = relative_difference(runner(sample), reference(sample))
    log.info("trunk: OpenVINO, %.1e from PyTorch", difference)
    if not difference <= TOLERANCE:
        raise ParityError(
            f"the trunk in OpenVINO differs from PyTorch by {difference:.1e}, "
            f"allowed are {TOLERANCE:.0e}; use training=finetune"
        )
    return runner


def relative_difference(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the root mean square of the difference over that of `other`."""
    wide = other.astype(np.float64)
    difference = np.square(one.astype(np.float64) - wide).mean()
    return float(np.sqrt(difference / max(np.square(wide).mean(), 1e-30)))


def _run_torch(trunk: nn.Module, device: torch.device) -> TrunkRunner:
    resident = trunk.requires_grad_(False).eval().to(device)

    @torch.inference_mode()
    def run(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        activation = resident(torch.from_numpy(image).to(device))
        result: NDArray[np.float16] = activation.half().cpu().numpy()
        return result

    return run


def _compile(trunk: nn.Module) -> TrunkRunner:
    import openvino

    core: Any = openvino.Core()
    # in bfloat16, its default where the processor has it, the resize alone is 24 % off
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(export_activation(trunk)), "CPU", settings)
    request = compiled.create_infer_request()

    def run(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        result: NDArray[np.float16] = request.infer({"image": image})[0].astype(np.float16)
        return result

    return run
