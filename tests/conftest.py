"""Images, networks and an inspector small enough for every test."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from sihwa.inspector import Bundle, Card, GraphFacts, WeightsFacts, write_bundle
from sihwa.model import OPSET, Network, create_network, export_graph
from sihwa.storage import sha256_of_bytes
from tests.helpers import CLASSES, made_card, random_images, tiny_config

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # so it is in a script's background job, and in all that it starts; some tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIHWA_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _brief_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks how fast a runtime is; every training run and verification measures it."""
    monkeypatch.setattr("sihwa.inspector.speed.TURN_S", 0.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tiny_network() -> Network:
    """A small network whose classifier tells images apart."""
    network = create_network(tiny_config(), len(CLASSES), seed=0)
    with torch.no_grad():
        # random features are almost equal for all images: spread them to get varied decisions
        image = torch.from_numpy(random_images(32, 60, 50))
        embedding = network.embed(image)
        centred = embedding - embedding.mean(0)
        direction = torch.linalg.svd(centred, full_matrices=False).Vh[: len(CLASSES)]
        network.classifier.weight.copy_(direction / (centred @ direction.T).std(0)[:, None])
        network.classifier.bias.copy_(-(network.classifier.weight @ embedding.mean(0)))
        network.temperature.fill_(0.5)
        network.unknown.set_classes(direction.T, network.classifier.weight @ direction.T)
    return network


@pytest.fixture(scope="session")
def tiny_graph(tiny_network: Network) -> bytes:
    return export_graph(tiny_network)


@pytest.fixture(scope="session")
def tiny_weights(tiny_network: Network) -> bytes:
    return save({name: value.contiguous() for name, value in tiny_network.state_dict().items()})


@pytest.fixture(scope="session")
def tiny_card(tiny_graph: bytes, tiny_weights: bytes) -> Card:
    return made_card(
        weights=WeightsFacts(source="none", licence="none", sha256=sha256_of_bytes(tiny_weights)),
        graph=GraphFacts(sha256=sha256_of_bytes(tiny_graph), bytes=len(tiny_graph), opset=OPSET),
    )


@pytest.fixture(scope="session")
def _tiny_bundle(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_card: Card,
    tiny_graph: bytes,
    tiny_weights: bytes,
) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "inspector"
    write_bundle(folder, Bundle(tiny_card, tiny_graph, tiny_weights))
    return folder


@pytest.fixture
def tiny_bundle(_tiny_bundle: Path, tmp_path: Path) -> Path:
    """An inspector folder of its own for each test, so that a test may damage it."""
    folder = tmp_path / "inspector"
    folder.mkdir()
    for part in _tiny_bundle.iterdir():
        (folder / part.name).write_bytes(part.read_bytes())
    return folder
