import numpy as np

from sihwa.inspector import EvidenceBox, evidence_box


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
