"""Short trainings of a tiny network on the `manifest` fixture, and how to compare them."""

import pytest
import torch
from torch import Tensor

from sihwa.dataset import Manifest
from sihwa.model import Network, create_network
from sihwa.training import FinetuneConfig, StagesConfig, TrainContext, TrainResult, train_network
from tests.helpers import tiny_config

WAYS = pytest.mark.parametrize("way", [FinetuneConfig, StagesConfig], ids=["finetune", "stages"])


def config(way: type[FinetuneConfig] = FinetuneConfig, **changes: object) -> FinetuneConfig:
    given = {"name": "test", "epochs": 3, "batch_size": 8, "precision": "fp32", "start": "zero"}
    if way is StagesConfig:
        given |= {"trained_share": 0.5, "views": 3}
    return way(**{**given, **changes})  # type: ignore[arg-type]


def network_of() -> Network:
    return create_network(tiny_config(), 2, seed=0)


def trained(
    manifest: Manifest, context: TrainContext, settings: FinetuneConfig
) -> tuple[dict[str, Tensor], TrainResult]:
    network = network_of()
    result = train_network(network, manifest, settings, context)
    return network.state_dict(), result


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert {name for name in one if not torch.equal(one[name], other[name])} == set()


def losses(result: TrainResult) -> tuple[float, ...]:
    return next(curve.value for curve in result.curves if curve.name == "loss")
