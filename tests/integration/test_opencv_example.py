"""examples/python/inspect_opencv.py on an inspector with a fixed-size graph."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sihwa.inspector import (
    Bundle,
    Card,
    FixedSizeFacts,
    TopClassFacts,
    card_policy,
    read_bundle,
    write_bundle,
)
from sihwa.model import Network, export_fixed_graph
from sihwa.storage import sha256_of_bytes
from tests.helpers import changed, random_images, save_images

EXAMPLE = Path(__file__).parents[2] / "examples" / "python" / "inspect_opencv.py"


@pytest.fixture
def inspector(
    tmp_path: Path, tiny_network: Network, tiny_card: Card, tiny_graph: bytes, tiny_weights: bytes
) -> Path:
    graph = export_fixed_graph(tiny_network)
    facts = FixedSizeFacts(sha256=sha256_of_bytes(graph), bytes=len(graph), input=(1, 3, 64, 64))
    policy = TopClassFacts(unknown_threshold=1.0, least_probability=0.6)
    card = changed(tiny_card, fixed_size=facts, policy=policy)
    folder = tmp_path / "검사기 1"
    write_bundle(folder, Bundle(card, tiny_graph, tiny_weights, fixed_graph=graph))
    return folder


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *map(str, words)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100)


def test_opencv_example_decides_as_the_network(
    inspector: Path, tiny_network: Network, tmp_path: Path
) -> None:
    images = random_images(12, 64, 64)  # of the network's size, so that no resize rounds
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no image")
    done = run(inspector, *save_images(tmp_path / "images", images), damaged)
    assert done.returncode == 0, done.stderr
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    with torch.no_grad():
        expected = tiny_network(torch.from_numpy(images))
    probability, unknown = expected.probability.numpy(), expected.unknown.numpy()
    np.testing.assert_allclose([row["probability"] for row in rows], probability, atol=1e-4)
    decisions = card_policy(read_bundle(inspector).card).decide(probability, unknown)
    said = [(row["decision"], row["reason"]) for row in rows]
    assert said == [(one.outcome, one.reason) for one in decisions]
    assert len(set(said)) > 1
    assert (last["decision"], last["reason"]) == ("review", "unreadable")


def test_opencv_example_altered_or_missing_graph_is_refused(
    inspector: Path, tiny_bundle: Path
) -> None:
    path = inspector / "inspector.fixed.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    for folder, reason in ((inspector, "changed"), (tiny_bundle, "export.fixed_size=true")):
        done = run(folder)
        assert done.returncode == 1
        assert reason in done.stderr.splitlines()[-1]
