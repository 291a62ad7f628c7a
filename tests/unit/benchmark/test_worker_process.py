"""A variant in a process of its own."""

from pathlib import Path

import pytest

from sihwa.benchmark.timing import STAGES
from sihwa.benchmark.variant import Variant
from sihwa.benchmark.worker_process import Worker
from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import REFERENCE
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [str(path) for path in save_images(tmp_path, random_images(4, 40, 50))]


def test_worker_answers_until_it_is_closed(paths: list[str]) -> None:
    worker = Worker(Variant(REFERENCE, 1), FOLDER, paths)
    try:
        assert worker.start() > 0
        stages = worker.ask("files", count=3)
        assert [len(stages[stage]) for stage in STAGES] == [3] * 4
        assert len(worker.ask("model", count=2)) == 2
        assert worker.ask("batches", size=2, seconds=0.0)["images"] == 2
        memory = worker.ask("memory")
        assert memory["peak_mib"] >= memory["first_decision_mib"] > 10
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("inspector", "patience_s", "message"),
    [
        pytest.param(Path("none"), 60, r"process ended: .*none.* \(exit code 1\)", id="dies"),
        pytest.param(FOLDER, 0.001, "process did not answer for 0 s", id="hangs"),
    ],
)
def test_worker_without_an_answer_says_why(
    inspector: Path, patience_s: float, message: str, paths: list[str]
) -> None:
    worker = Worker(Variant(REFERENCE, 1), inspector, paths, patience_s)
    with pytest.raises(RuntimeUnavailable, match=message):
        worker.start()
    worker.close()
