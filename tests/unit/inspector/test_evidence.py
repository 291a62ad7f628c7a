import numpy as np
import pytest

from sihwa.errors import ShapeError
from sihwa.inspector import evidence_box, evidence_outline, evidence_overlay
from sihwa.inspector.evidence import OUTLINE


@pytest.mark.parametrize(
    ("evidence", "height", "width", "expected"),
    [
        pytest.param(
            [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2]], 30, 80, (40, 20, 80, 30), id="other spot"
        ),
        pytest.param([[1.0, 0.49, 0.0]], 10, 30, (0, 0, 10, 10), id="weak neighbours"),
        pytest.param(np.full((3, 3), -1.0), 10, 10, None, id="all against"),
        pytest.param(np.full((3, 3), np.nan), 10, 10, None, id="NaN"),
        pytest.param(np.ones((7, 7)), 199, 201, (0, 0, 201, 199), id="odd image"),
        pytest.param(np.eye(14)[7:8], 10, 122, (61, 0, 70, 10), id="cell edge on a pixel edge"),
    ],
)
def test_evidence_box_holds_the_peak_and_its_strong_neighbours(
    evidence: list[list[float]], height: int, width: int, expected: tuple[int, ...] | None
) -> None:
    assert evidence_box(np.array(evidence), height, width) == expected


def test_evidence_box_any_image_size_ends_at_its_edges() -> None:
    evidence = np.ones((7, 7))  # and 7 * (29 / 7) > 29 in floating point
    sides = range(1, 300)
    assert [evidence_box(evidence, side, side) for side in sides] == [(0, 0, s, s) for s in sides]


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


def test_evidence_outline_leaves_inside_and_outside_as_they_are() -> None:
    evidence = np.zeros((4, 4))
    evidence[1, 1] = 1.0
    image = np.random.default_rng(0).integers(0, 200, (40, 60, 3)).astype(np.uint8)
    outlined = evidence_outline(image, evidence)
    changed = (outlined != image).any(2)
    assert (outlined[changed] == OUTLINE).all()
    rows, columns = np.nonzero(changed)
    middle = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    assert not changed[middle]  # a line, not an area
    assert 5 <= rows.min() < rows.max() <= 25
    assert 5 <= columns.min() < columns.max() <= 35


def test_evidence_outline_without_evidence_draws_nothing() -> None:
    image = np.full((20, 20, 3), 90, np.uint8)
    np.testing.assert_array_equal(evidence_outline(image, np.zeros((2, 2))), image)
