"""The line PC: the wheel in a clean environment, from the line lock, without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images

ROOT = Path(__file__).parents[2]
MOST_BYTES = 650_000_000  # 627 MB measured
TRAINING_PACKAGES = ("torch", "torchvision", "timm", "hydra", "omegaconf", "sklearn", "scipy")
PROGRAM = """
import json, sys, time
begin = time.perf_counter()
from sihwa.inspector import load_inspector
inspector = load_inspector(sys.argv[1])
[inspection] = inspector.predict(sys.argv[2])
seconds = time.perf_counter() - begin
print(json.dumps({"decision": inspection.decision.outcome, "runtime": inspector.explanation,
                  "seconds": seconds, "modules": sorted(sys.modules)}))
"""

pytestmark = pytest.mark.network


def run(*command: str | Path, timeout: float = 900) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, encoding="utf-8", timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def line_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment that holds the wheel and what the line lock lists."""
    folder = tmp_path_factory.mktemp("검사 PC")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    [wheel] = folder.glob("sihwa-*.whl")
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "line.txt")
    run(*pip, "--no-deps", wheel)
    return python


def test_line_install_is_small_and_has_no_training_package(line_python: Path) -> None:
    place = Path(
        run(line_python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    print(f"installed: {size / 1e6:.0f} MB")
    assert size <= MOST_BYTES
    assert [name for name in TRAINING_PACKAGES if (place / name).exists()] == []


def test_line_install_inspects_an_image(
    line_python: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    [path] = save_images(tmp_path, random_images(1, 200, 200))
    result = json.loads(run(line_python, "-c", PROGRAM, tiny_bundle, path))
    print(f"import to first decision: {result['seconds']:.2f} s, {result['runtime']}")
    assert result["decision"] in ("accept", "reject")
    assert set(TRAINING_PACKAGES).isdisjoint(result["modules"])


def test_line_install_scores_a_folder(line_python: Path, tmp_path: Path) -> None:
    save_images(tmp_path / "사진", random_images(3, 60, 40))
    (tmp_path / "사진" / "cut.jpg").write_bytes(b"\xff\xd8")
    command = line_python.with_name("sihwa")
    run(command, "score", FOLDER, tmp_path / "사진", "--out", tmp_path / "scores.csv")
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 4


def test_line_install_train_names_the_missing_extra(line_python: Path) -> None:
    done = subprocess.run(
        [line_python.with_name("sihwa"), "train"], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "sihwa[train]"' in done.stderr
