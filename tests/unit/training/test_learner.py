import numpy as np
import pytest
import torch

from sihwa.errors import ConfigError
from sihwa.model import create_network, cut_network
from sihwa.training.config import FinetuneConfig, LossConfig, MixConfig, OptimizerConfig
from sihwa.training.epoch_batches import Batch
from sihwa.training.learner import Head, Learner
from sihwa.training.objective import Objective
from sihwa.training.optimizer import parameter_groups
from tests.helpers import random_images, tiny_config
from tests.unit.training.tiny_training import network_of


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).normal(5, 1, (20, 6)) * np.logspace(-2, 2, 6)


def test_head_unfolded_gives_the_same_logits(points: np.ndarray) -> None:
    head = Head(points.mean(0), points.std(0), 3, dropout=0).eval()
    with torch.no_grad():
        head.linear.weight.normal_()
        embedding = torch.from_numpy(points).float()
        weight, bias = head.unfolded()
        torch.testing.assert_close(
            embedding @ weight.T + bias, head(embedding), atol=1e-3, rtol=1e-4
        )


def test_head_starts_from_a_classifier_on_standardised_embeddings(points: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(3, 6)), rng.normal(size=3)
    head = Head(points.mean(0), points.std(0), 3, dropout=0).eval()
    head.start_from(weight, bias)
    with torch.no_grad():
        logit = head(torch.from_numpy(points).float()).numpy()
    expected = (points - points.mean(0)) / points.std(0) @ weight.T + bias
    np.testing.assert_allclose(logit, expected, atol=1e-3)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_learner_with_tiles_says_what_the_network_says(share: float) -> None:
    network = create_network(tiny_config(input_size=32, tiles=[2, 2]), 2, accepted=[0])
    cut = cut_network(network, share)
    head = Head(np.zeros(256), np.ones(256), 2, dropout=0)
    head.start_from(np.random.default_rng(0).normal(size=(2, 256)), np.ones(2))
    network.set_classifier(*head.unfolded())
    config = FinetuneConfig(name="test", mix=MixConfig(mixup=1.0))
    objective = Objective(LossConfig(), [1, 1])
    learner = Learner(
        lambda inputs: cut.frozen(inputs[0]), cut.trained, head, objective, config, network.pooling
    ).eval()
    image = torch.from_numpy(random_images(3, 50, 60))
    with torch.no_grad():
        said = torch.softmax(learner(cut.frozen(image)), 1)
        torch.testing.assert_close(said, network(image).probability, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(network.logits(network.embed_tiles(image)).softmax(1), said)
        batch = Batch((image,), torch.tensor([0, 1, 0]), torch.arange(3), 3)
        mixed, target = learner.prepare(batch)
    assert mixed.shape == cut.frozen(image).shape
    assert target.shape == (3, 2)


@pytest.mark.parametrize("norm", ["train", "frozen"])
def test_learner_batch_of_one_value_names_what_to_set(norm: str) -> None:
    layers = torch.fx.symbolic_trace(torch.nn.Sequential(torch.nn.BatchNorm2d(4)))
    head = Head(np.zeros(4), np.ones(4), 2, dropout=0)
    config = FinetuneConfig(name="test", norm=norm)
    learner = Learner(
        lambda inputs: inputs[0], layers, head, Objective(LossConfig(), [1, 1]), config
    )
    learner.train()
    assert learner(torch.ones(2, 4, 1, 1)).shape == (2, 2)
    if norm == "frozen":
        assert learner(torch.ones(1, 4, 1, 1)).shape == (1, 2)
        return
    with pytest.raises(ConfigError, match=r"training\.batch_size .*training\.norm=frozen"):
        learner(torch.ones(1, 4, 1, 1))


def test_parameter_groups_slow_down_towards_the_start() -> None:
    layers = cut_network(network_of(), 1.0).trained
    head = Head(np.zeros(256), np.ones(256), 2, dropout=0)
    objective = Objective(LossConfig(), [1, 1])
    learner = Learner(
        lambda inputs: inputs[0], layers, head, objective, FinetuneConfig(name="test")
    )
    groups = parameter_groups(
        learner, OptimizerConfig(learning_rate=1.0, head_rate=5, layer_decay=0.5)
    )
    given = [id(one) for group in groups for one in group["params"]]
    assert sorted(given) == sorted(id(one) for one in learner.parameters())
    rate = {id(one): group["lr"] for group in groups for one in group["params"]}
    assert rate[id(head.linear.weight)] == 5.0
    stem = rate[id(layers.get_parameter("backbone.conv_stem.weight"))]
    last = rate[id(layers.get_parameter("backbone.conv_head.weight"))]
    assert stem < last <= 1.0
    decayed = {id(one) for group in groups if group["weight_decay"] for one in group["params"]}
    assert id(head.linear.weight) in decayed
    assert id(head.linear.bias) not in decayed
