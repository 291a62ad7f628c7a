import numpy as np
import pytest

from sihwa.errors import ShapeError
from sihwa.inspector import EvidenceBox, evidence_box, evidence_overlay


def test_evidence_box_other_spot_not_connected_is_left_out() -> None:
    evidence = np.zeros((4, 4))
    evidence[0, 0] = 1.0
    evidence[3, 2:] = 2.0
    assert evidence_box(evidence, 40, 80) == EvidenceBox(40, 30, 80, 40)


def test_evidence_box_weak_neighbours_are_left_out() -> None:
    evidence = np.array([[1.0, 0.49, 0.0]])
    assert evidence_box(evidence, 10, 30) == EvidenceBox(0, 0, 10, 10)


def test_evidence_box_nothing_speaks_for_the_class_is_none() -> None:
    assert evidence_box(np.full((3, 3), -1.0), 10, 10) is None


def test_evidence_box_not_a_number_is_none() -> None:
    assert evidence_box(np.full((3, 3), np.nan), 10, 10) is None


def test_evidence_box_stays_inside_an_odd_image() -> None:
    box = evidence_box(np.ones((7, 7)), 199, 201)
    assert box == EvidenceBox(0, 0, 201, 199)


def test_evidence_box_any_image_size_ends_at_its_edges() -> None:
    evidence = np.ones((7, 7))  # and 7 * (29 / 7) > 29 in floating point
    sides = range(1, 300)
    assert [evidence_box(evidence, side, side) for side in sides] == [(0, 0, s, s) for s in sides]


def test_evidence_box_cell_edge_on_a_pixel_edge_takes_no_pixel_more() -> None:
    evidence = np.zeros((1, 14))
    evidence[0, 7] = 1.0
    assert evidence_box(evidence, 10, 122) == EvidenceBox(61, 0, 70, 10)


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
