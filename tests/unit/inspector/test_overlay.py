import numpy as np
import pytest

from sihwa.errors import ShapeError
from sihwa.inspector import evidence_overlay


def grey(value: int = 100) -> np.ndarray:
    return np.full((32, 48, 3), value, dtype=np.uint8)


def test_evidence_overlay_one_corner_tints_only_there() -> None:
    evidence = np.zeros((4, 6))
    evidence[0, 5] = 3.0
    tinted = evidence_overlay(grey(), evidence)
    assert tinted.shape == (32, 48, 3)
    assert (tinted[16:, :24] == 100).all()
    assert tinted[2, 45, 0] > 180


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(np.zeros((2, 2)), id="none"),
        pytest.param(np.full((2, 2), -4.0), id="all against"),
        pytest.param(np.full((2, 2), np.nan), id="nan"),
        pytest.param(np.full((2, 2), np.inf), id="infinite"),
    ],
)
def test_evidence_overlay_no_evidence_leaves_the_grey_image(evidence: np.ndarray) -> None:
    assert (evidence_overlay(grey(), evidence) == grey()).all()


def test_evidence_overlay_scaled_evidence_looks_the_same() -> None:
    evidence = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    small, large = (evidence_overlay(grey(), evidence * scale) for scale in (0.125, 128))
    assert (small == large).all()


def test_evidence_overlay_three_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"evidence must be \(h, w\), but got shape \(1, 2, 2\)"):
        evidence_overlay(grey(), np.zeros((1, 2, 2)))
