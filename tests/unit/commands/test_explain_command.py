"""`sihwa explain`: one decision with what led to it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.dataset import read_dataset
from sihwa.dataset.config import ImageFolderConfig
from sihwa.errors import ConfigError, UnreadableImage
from tests.helpers import random_images, save_images


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder with a manifest alone."""
    for seed, name in enumerate(("good", "scratch", "dent")):
        save_images(tmp_path / "data" / name, random_images(12, 24, 32, seed), name)
    manifest = read_dataset(ImageFolderConfig(root=str(tmp_path / "data")), 0)
    (tmp_path / "run").mkdir()
    manifest.write(tmp_path / "run" / "manifest.parquet")
    return tmp_path / "run"


def explain(*words: object) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, words)], catch_exceptions=False)
    return result.output


def test_explain_a_training_image_is_most_like_itself(
    tiny_bundle: Path, run: Path, tmp_path: Path
) -> None:
    manifest = read_dataset(ImageFolderConfig(root=str(tmp_path / "data")), 0)
    image = manifest.files[int(np.flatnonzero(manifest.split == "train")[3])]
    said = explain(tiny_bundle, image, "--run", run, "--out", tmp_path / "why.html")
    assert f"1.00 {Path(image).parent.name}  {image}" in said
    page = (tmp_path / "why.html").read_text("utf-8")
    assert page.count("<img ") == 2 + 6
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(ConfigError, match="exists already"):
        explain(tiny_bundle, image, "--out", tmp_path / "why.html")


def test_explain_without_a_run_says_so(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = save_images(tmp_path / "in", random_images(1, 24, 32))
    monkeypatch.chdir(tmp_path)
    said = explain(tiny_bundle, image)
    assert "--run RUN" in said
    assert list(tmp_path.glob("*.explained.html"))


def test_explain_wrong_words_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImage):
        explain(tiny_bundle, tmp_path / "x.png")
    with pytest.raises(ConfigError, match="folder of a run"):
        explain(tiny_bundle, tmp_path / "x.png", "--run", tmp_path)
