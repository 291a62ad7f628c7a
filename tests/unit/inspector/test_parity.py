import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.decision import TopClassPolicy
from sihwa.inspector import Outputs, RuntimeChoice, prove_parity

POLICY = TopClassPolicy(("good", "scratch"), ("good",))
REFERENCE = np.array([[0.9, 0.1], [0.2, 0.8], [0.50001, 0.49999]])


def outputs(probability: NDArray[np.floating]) -> Outputs:
    nothing = np.zeros(0, np.float32)
    unknown = np.ones(len(probability), np.float32)
    return Outputs(probability.astype(np.float32), nothing, nothing, unknown)


class FakeRuntime:
    choice = RuntimeChoice("fake", "cpu", "fp32")
    version = "1"

    def __init__(self, probability: NDArray[np.floating]) -> None:
        self.probability = probability

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        rows = image[:, 0, 0, 0]
        return outputs(self.probability[rows])


def batches() -> list[tuple[list[str], NDArray[np.uint8], Outputs]]:
    image = np.zeros((3, 2, 2, 3), np.uint8)
    image[:, 0, 0, 0] = range(3)
    return [
        (["a", "b"], image[:2], outputs(REFERENCE[:2])),
        (["c"], image[2:], outputs(REFERENCE[2:])),
    ]


def test_prove_parity_equal_is_proven() -> None:
    (proof,) = prove_parity([FakeRuntime(REFERENCE)], batches(), POLICY)
    assert proof.proven
    assert (proof.images, proof.flips) == (3, 0)


def test_prove_parity_a_flip_within_the_tolerance_is_refused_and_named() -> None:
    flipped = REFERENCE.copy()
    flipped[2] = [0.49999, 0.50001]
    (proof,) = prove_parity([FakeRuntime(flipped)], batches(), POLICY)
    assert not proof.proven
    assert (proof.flips, proof.worst_path) == (1, "c")


def test_prove_parity_a_flip_is_worse_than_a_large_difference() -> None:
    odd = REFERENCE.copy()
    odd[0] = [0.6, 0.4]
    odd[2] = [0.49999, 0.50001]
    (proof,) = prove_parity([FakeRuntime(odd)], batches(), POLICY)
    assert proof.worst_path == "c"
    assert proof.greatest_difference == pytest.approx(0.3)


def test_prove_parity_beyond_the_tolerance_is_refused() -> None:
    odd = REFERENCE.copy()
    odd[1] = [0.21, 0.79]
    (proof,) = prove_parity([FakeRuntime(odd)], batches(), POLICY)
    assert not proof.proven
    assert proof.worst_path == "b"


def test_prove_parity_not_a_number_is_refused() -> None:
    odd = REFERENCE.copy()
    odd[0] = np.nan
    (proof,) = prove_parity([FakeRuntime(odd)], batches(), POLICY)
    assert not proof.proven
    assert proof.greatest_difference == 1.0


def test_prove_parity_no_images_proves_nothing() -> None:
    (proof,) = prove_parity([FakeRuntime(REFERENCE)], [], POLICY)
    assert not proof.proven


def test_prove_parity_several_runtimes_are_judged_apart() -> None:
    odd = REFERENCE.copy()
    odd[1] = [0.9, 0.1]
    first, second = prove_parity([FakeRuntime(odd), FakeRuntime(REFERENCE)], batches(), POLICY)
    assert not first.proven
    assert second.proven
