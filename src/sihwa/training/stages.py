"""Activations of the frozen layers, computed once in the fastest runtime: made for a CPU.

Axes: N and M images, V views, H and W image size in pixels, C, h and w activation size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sihwa.errors import ParityError
from sihwa.images import batch_length, limited_threads
from sihwa.model import export_activation
from sihwa.terminal.progress import progress_bar
from sihwa.training.config import StagesConfig
from sihwa.training.epoch_batches import ImageBatches, Request
from sihwa.training.held_out import HeldOutSplit
from sihwa.training.image_store import new_array
from sihwa.training.learner import Activate
from sihwa.training.prefetch import prefetch
from sihwa.training.train import TrainContext

log = logging.getLogger(__name__)

FrozenRunner = Callable[[NDArray[np.uint8]], NDArray[np.float16]]
"""Images (N, H, W, 3), uint8 → activations (N, C, h, w), float16."""

_TOLERANCE = 1e-3
"""Largest root mean square of the difference, as a share of the activations' own."""

_BATCH = 32


def compute_activations(
    layers: nn.Module,
    source: ImageBatches,
    split: HeldOutSplit,
    config: StagesConfig,
    context: TrainContext,
) -> NDArray[np.float16]:
    """Return the activations of every image and view, (M, V, C, h, w).

    The images are those to fit, then those held out. View 0 is the image without augmentation, the
    only one that is computed of those held out; view v > 0 is that of epoch v in `source`.

    Raises:
        ParityError: The runtime differs from PyTorch, or an activation does not fit float16.
        StorageError: The activations cannot be kept.
    """
    rows = split.fitted + split.held_out
    place = {row: index for index, row in enumerate(rows)}
    [sample] = source[Request(None, (rows[0],), 1)].inputs
    run = create_frozen_runner(layers, context.device, sample.numpy())
    views = config.views if context.augmentation.changes_something else 1
    activation = new_array(
        (len(rows), views, *run(sample.numpy()).shape[1:]),
        np.float16,
        memory_mib=config.memory_mib,
        folder=context.cache_dir,
    )
    requests = [
        Request(view or None, tuple(some[start : start + _BATCH]), _BATCH)
        for view in range(views)
        for some in [split.fitted if view else rows]
        for start in range(0, len(some), _BATCH)
    ]
    count = views * len(split.fitted) + len(split.held_out)
    with progress_bar(f"frozen layers, {views} views", count, "views") as advance:
        batches = prefetch(source.__getitem__, requests)
        for request, batch in zip(requests, batches, strict=True):
            result = np.concatenate([run(some) for images in batch.inputs for some in _cut(images)])
            if not np.isfinite(result).all():
                raise ParityError(
                    "training=stages: activations of this network do not fit half precision; "
                    "use training=finetune"
                )
            places = [place[row] for row in batch.row.tolist()]
            activation[places, request.epoch or 0] = result
            advance(len(places))
    return activation


def _cut(images: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Cut images of one size (N, H, W, 3) into batches, the smaller the larger they are."""
    length = batch_length(images[0].nbytes)
    for start in range(0, len(images), length):
        yield images[start : start + length].numpy()


def run_frozen(layers: nn.Module, device: torch.device) -> Activate:
    """Return a function that runs frozen layers in PyTorch."""
    layers.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def activate(inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat([layers(images) for images in inputs])

    return activate


def create_frozen_runner(
    layers: nn.Module, device: torch.device, sample: NDArray[np.uint8]
) -> FrozenRunner:
    """Return a function that runs frozen layers: by OpenVINO on a CPU, by PyTorch on a GPU.

    Both must agree on the sample, images (N, H, W, 3).
    """
    activate = run_frozen(layers, device)

    def reference(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        activation = activate([torch.from_numpy(image).to(device)])
        result: NDArray[np.float16] = activation.half().cpu().numpy()
        return result

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


def _compile(layers: nn.Module) -> FrozenRunner:
    import openvino

    core: Any = openvino.Core()
    # its default is bfloat16 where the processor has it, and there the resize alone is 24 % off
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads := limited_threads():
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = core.compile_model(core.read_model(export_activation(layers)), "CPU", settings)
    request = compiled.create_infer_request()

    def run(image: NDArray[np.uint8]) -> NDArray[np.float16]:
        result: NDArray[np.float16] = request.infer({"image": image})[0].astype(np.float16)
        return result

    return run
