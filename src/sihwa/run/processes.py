"""Devices and processes: the first process writes the run folder, the others only train."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import distributed

from sihwa.errors import ConfigError
from sihwa.images import limited_threads
from sihwa.training import world


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started; a single process joins nothing."""
    if world()[1] == 1:
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share_folder(folder: Path | None) -> Path:
    """Return the first process's run folder in every process; `folder` is None in the others."""
    shared = [folder]
    if world()[1] > 1:
        distributed.broadcast_object_list(shared, src=0)
    assert shared[0] is not None
    return shared[0]


def choose_device(name: str) -> torch.device:
    """Return where PyTorch runs; `auto` is a GPU if there is one.

    Its threads on the CPU are no more than a container's quota allows.
    """
    if threads := limited_threads():
        torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("device=cuda: PyTorch sees no CUDA device; use device=cpu or auto")
    if name == "cpu" or not available:
        return torch.device("cpu")
    # each process of one machine takes its own GPU
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
