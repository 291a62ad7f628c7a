"""Everything that the next epoch depends on, and its file: safetensors, never pickle.

A checkpoint's tensors are named `weights/…`, `average/…`, `best/…` and `optimizer/INDEX/…`; the
entry `progress` of its header holds the rest as JSON.
"""

from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sihwa.errors import StorageError
from sihwa.storage import replacing
from sihwa.training.config import FinetuneConfig
from sihwa.training.learner import Learner
from sihwa.training.optimizer import create_optimizer

CHECKPOINT = Path("checkpoints", "last.safetensors")
"""Place of the checkpoint in a run folder."""

Tensors = dict[str, Tensor]


class Progress(msgspec.Struct, forbid_unknown_fields=True):
    """How far a training is."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    """Optimiser steps taken."""
    curves: dict[str, list[float]] = {}
    """Figures by name, one value per finished epoch."""
    best_epoch: int | None = None
    """Index of the best epoch on held-out images; None without any."""
    best_value: float | None = None
    """Its selection metric, negative where more is better."""
    best_log_loss: float | None = None
    scaler: dict[str, float] = {}
    """State of the fp16 gradient scaler; empty in other precisions."""


class TrainState:
    """Weights, their average, the optimiser, the best weights so far, and the progress.

    Args:
        learner: On its device; its weights are trained in place.
        config: Optimiser and average.
        fp16: Whether gradients are scaled, as float16 needs.
    """

    def __init__(self, learner: Learner, config: FinetuneConfig, *, fp16: bool) -> None:
        self.learner = learner
        self.average: AveragedModel | None = None
        if config.ema:
            ema = get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(learner, multi_avg_fn=ema, use_buffers=True)
        self.optimizer = create_optimizer(learner, config.optimizer)
        self.scaler = torch.amp.GradScaler(enabled=fp16)
        self.progress = Progress()
        self.best: Tensors = {}

    @property
    def trained(self) -> list[nn.Parameter]:
        """Every trained weight, in the optimiser's order."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]

    @property
    def evaluated(self) -> nn.Module:
        """The averaged weights, or the learner's own if nothing is averaged."""
        return self.average.get_submodule("module") if self.average else self.learner

    def keep_best(self) -> None:
        """Keep the evaluated weights as the best so far."""
        state = self.evaluated.state_dict()
        self.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint; if that fails, the previous one is still there."""
        optimizer = self.optimizer.state_dict()["state"]
        sections = {
            "weights": self.learner.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "best": self.best,
            "optimizer": {
                f"{i}/{kind}": x for i, own in optimizer.items() for kind, x in own.items()
            },
        }
        tensors = {
            f"{section}/{name}": tensor.detach().cpu().contiguous()
            for section, own in sections.items()
            for name, tensor in own.items()
        }
        self.progress.scaler = self.scaler.state_dict()
        header = {"progress": msgspec.json.encode(self.progress).decode()}
        try:
            with replacing(path) as temporary:
                save_file(tensors, temporary, header)
        except SafetensorError as error:
            raise StorageError(f"cannot write {path}: {error}") from error

    def load(self, path: Path, steps_per_epoch: int) -> None:
        """Continue from a checkpoint; refuse that of another network or other settings."""
        if not path.is_file():
            raise StorageError(f"cannot read {path}: not a plain file; remove it")
        try:
            sections, progress = _read(path)
            epochs = {len(values) for values in progress.curves.values()}
            expected = {progress.epoch}, progress.epoch * steps_per_epoch
            if (epochs, progress.step) != expected or "loss" not in progress.curves:
                raise ValueError(f"its curves or steps are not those of {progress.epoch} epochs")
            self._restore(sections, progress)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        # torch and safetensors raise these for content of the wrong shape or kind
        except (SafetensorError, ValueError, RuntimeError, KeyError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StorageError(
                f"{path}: not a checkpoint of this run: {reason}; delete it, and training starts "
                "over"
            ) from error

    def _restore(self, sections: dict[str, Tensors], progress: Progress) -> None:
        own = _kinds(self.learner.state_dict())
        best = sections.get("best", {})
        if _kinds(sections["weights"]) != own or (best and _kinds(best) != own):
            raise ValueError("its weights are of another network")
        self.learner.load_state_dict(sections["weights"])
        self.best = best
        if self.average:
            self.average.load_state_dict(sections["average"])
        state: dict[int, Tensors] = {}
        for name, tensor in sections["optimizer"].items():
            index, _, kind = name.partition("/")
            # in the weight's memory format: arithmetic on another one may round differently
            like = self.trained[int(index)].detach() if tensor.ndim else tensor
            state.setdefault(int(index), {})[kind] = torch.empty_like(
                like, dtype=tensor.dtype
            ).copy_(tensor)
        if len({frozenset(kinds) for kinds in state.values()}) != 1:
            raise ValueError("the state of its optimiser is incomplete")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(progress.scaler)
        self.progress = progress


def _read(path: Path) -> tuple[dict[str, Tensors], Progress]:
    sections: dict[str, Tensors] = {}
    with safe_open(path, framework="pt") as file:
        header = (file.metadata() or {}).get("progress", "")
        for name in file.keys():  # noqa: SIM118 -- no mapping
            section, _, rest = name.partition("/")
            sections.setdefault(section, {})[rest] = file.get_tensor(name)
    return sections, msgspec.json.decode(header, type=Progress)


def _kinds(tensors: Tensors) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
