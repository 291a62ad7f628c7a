"""Activations of the frozen layers, computed once in the fastest runtime: made for a CPU.

Axes: N images, M images, V views, H and W image size in pixels, C, h and w activation size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sihwa.augmentation import Augmenter
from sihwa.errors import ParityError
from sihwa.model import export_activation
from sihwa.terminal.progress import progress_bar
from sihwa.training.config import StagesConfig
from sihwa.training.held_out import HeldOutSplit
from sihwa.training.image_store import ImageStore, new_array
from sihwa.training.prefetch import group_by, prefetch
from sihwa.training.train import TrainContext

log = logging.getLogger(__name__)

FrozenRunner = Callable[[NDArray[np.uint8]], NDArray[np.float16]]
"""Images (N, H, W, 3), uint8 → activations (N, C, h, w), float16."""

View = tuple[int, int]
"""A manifest row and the number of a view; view 0 is the image without augmentation."""

_TOLERANCE = 1e-3
"""Largest root mean square of the difference, as a share of the activations' own."""

_BATCH = 32


def compute_activations(
    layers: nn.Module,
    store: ImageStore,
    split: HeldOutSplit,
    config: StagesConfig,
    context: TrainContext,
) -> NDArray[np.float16]:
    """Return the activations of every image and view, (M, V, C, h, w).

    The images are those to fit, then those held out; of the latter only view 0 is computed.

    Raises:
        ParityError: The runtime differs from PyTorch, or an activation does not fit float16.
        StorageError: The activations cannot be kept.
    """
    rows = split.fitted + split.held_out
    run = create_frozen_runner(layers, context.device, store[rows[0]][None])
    place = {row: index for index, row in enumerate(rows)}
    views = config.views if context.augmentation.changes_something else 1
    jobs = [(row, view) for view in range(views) for row in split.fitted]
    jobs += [(row, 0) for row in split.held_out]
    activation = new_array(
        (len(rows), views, *run(store[rows[0]][None]).shape[1:]),
        np.float16,
        memory_mib=config.memory_mib,
        folder=context.cache_dir,
    )
    with progress_bar(f"frozen layers, {views} views", len(jobs), "views") as advance:
        for group, images in _augmented(store, jobs, context):
            result = run(images)
            if not np.isfinite(result).all():
                raise ParityError(
                    "training=stages: activations of this network do not fit half precision; "
                    "use training=finetune"
                )
            for (row, view), one in zip(group, result, strict=True):
                activation[place[row], view] = one
            advance(len(group))
    return activation


def _augmented(
    store: ImageStore, jobs: Sequence[View], context: TrainContext
) -> Iterator[tuple[list[View], NDArray[np.uint8]]]:
    """Yield views and their images (N, H, W, 3) of one size, made ahead of their use."""
    augmenter = Augmenter(context.augmentation)

    def make(some: Sequence[View]) -> list[tuple[list[View], NDArray[np.uint8]]]:
        images = {
            (row, view): augmenter(store[row], (context.seed, view, row)) if view else store[row]
            for row, view in some
        }
        groups = group_by(some, lambda one: images[one].shape)
        return [(group, np.stack([images[one] for one in group])) for group in groups]

    chunks = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
    for groups in prefetch(make, chunks):
        yield from groups


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
    if not difference <= _TOLERANCE:
        raise ParityError(
            f"the frozen layers in OpenVINO differ from PyTorch by {difference:.1e}, "
            f"allowed: {_TOLERANCE:.0e}; use training=finetune"
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
