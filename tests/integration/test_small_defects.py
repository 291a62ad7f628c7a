"""The comparison of tiles with squeezed images in benchmarks/small_defects.py, on tiny ones."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from sihwa.images import read_image
from tests.integration.conftest import TINY


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("small_defects")


@pytest.mark.slow
def test_measure_trains_and_scores_the_test_images(program: ModuleType, tmp_path: Path) -> None:
    program.draw(tmp_path / "parts", 8, (96, 64), 4)
    line = program.measure(tmp_path, "tiles", "model.tiles=[2,2]", [*TINY, "export.images=2"])
    assert re.fullmatch(
        r"\| `model\.tiles=\[2,2\]` \| 4 \|( [\d.]+% \([\d.]+% to [\d.]+%\) \|){2} \d+ \| \d+ \|",
        line,
    )
    assert (tmp_path / "tiles" / "scores" / "summary.json").is_file()


def test_draw_gives_as_many_scratched_as_good_surfaces(program: ModuleType, tmp_path: Path) -> None:
    program.draw(tmp_path, 3, (96, 64), 4)
    files = sorted(tmp_path.glob("*/*.jpg"))
    assert [path.parent.name for path in files] == ["good"] * 3 + ["scratch"] * 3
    assert {read_image(str(path)).shape for path in files} == {(64, 96, 3)}
    assert len({path.read_bytes() for path in files}) == 6


@pytest.mark.parametrize("width", [4, 8])
def test_draw_scratch_is_as_wide_as_it_says(program: ModuleType, width: int) -> None:
    surface = Image.new("L", (400, 400), 130)
    program.draw_scratch(surface, np.random.default_rng(1), width)
    dark = np.asarray(surface) < 130
    length = np.ptp(np.argwhere(dark), axis=0)
    assert dark.sum() / np.hypot(*length) == pytest.approx(width, rel=0.3)
