"""Training on several processes: one of them keeps the run folder, the others help it train."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import distributed

from sihwa.training import world


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started; alone, there is nothing to join."""
    if world()[1] == 1:
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share_folder(folder: Path | None) -> Path:
    """Return the first process's run folder in every process.

    Args:
        folder: The run folder in the first process, None in the others.
    """
    shared = [folder]
    if world()[1] > 1:
        distributed.broadcast_object_list(shared, src=0)
    assert shared[0] is not None
    return shared[0]
