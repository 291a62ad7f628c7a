"""A folder of parts whose classes a random network can tell apart, and one run on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sihwa.inspector import Card
from sihwa.run import Run, RunResult
from sihwa.run.compose import compose_config
from tests.helpers import random_images, save_images
from tests.score_helpers import end_started

TINY = (
    "model.name=tiny",
    "model.architecture=test_efficientnet",
    "model.weights=none",
    "model.input_size=64",
    "evaluation.resamples=100",
    "decision.unknown_rate=0.3",
)
"""Settings of a network that trains in seconds; eight calibration images promise no less."""


@pytest.fixture(autouse=True)
def _leave_none_running() -> Iterator[None]:
    yield
    end_started()


def settings(parts: Path, outputs: Path, *more: str) -> list[str]:
    """Settings of a run on a folder of images, or on a table of them."""
    source = ("manifest", "path") if parts.is_file() else ("image_folder", "root")
    return [
        f"dataset={source[0]}",
        f"dataset.{source[1]}={parts}",
        "dataset.accept_classes=[양품]",
        f"output_dir={outputs}",
        f"cache_dir={outputs / 'cache'}",
        *TINY,
        *more,
    ]


def start(parts: Path, outputs: Path, *more: str) -> Run:
    return Run.start(compose_config(settings(parts, outputs, *more)))


def train(parts: Path, outputs: Path, *more: str) -> RunResult:
    return start(parts, outputs, *more).finish()


def card_of(run: RunResult) -> Card:
    """Return the card of a run that made an inspector."""
    assert run.card is not None
    return run.card


def make_parts(root: Path, count: int = 20) -> Path:
    """Dark parts are good, light ones are scratched; images of two sizes."""
    for size in (40, 60):
        dark, light = (random_images(count // 2, size, 50, seed) // 2 for seed in (1, 2))
        save_images(root / "양품", dark, prefix=f"{size} ")
        save_images(root / "긁힘" / "line 1", 127 + light, prefix=f"{size} ")
    return root


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_parts(tmp_path_factory.mktemp("data") / "부품 (1조)")


@pytest.fixture(scope="session")
def run(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train(parts, tmp_path_factory.mktemp("outputs"))
