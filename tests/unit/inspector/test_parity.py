from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.inspector import Outputs, ParityProof, ProofImages, RuntimeChoice, in_other_sizes, prove
from tests.helpers import changed, int8_facts, made_card

CARD = made_card(classes=("good", "scratch"))
EXACT = np.array([[0.9, 0.1], [0.2, 0.8], [0.50001, 0.49999]])
CHOICE = RuntimeChoice("fake", "cpu", "fp32")
SIZES = 4  # its own and three others


class FakeRuntime:
    """Gives the probabilities of the row that an image's red value names."""

    def __init__(self, probability: NDArray[np.floating], choice: RuntimeChoice = CHOICE) -> None:
        self.probability = probability.astype(np.float32)
        self.choice = choice
        self.sizes: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        self.sizes += [image.shape[1:3]] * len(image)
        nothing = np.zeros(0, np.float32)
        probability = self.probability[image[:, 0, 0, 0]]
        return Outputs(probability, nothing, nothing, np.ones(len(image), np.float32))


def some_images(count: int = 3) -> ProofImages:
    image = np.zeros((count, 20, 10, 3), np.uint8)
    image[..., 0] = (np.arange(count) % 3)[:, None, None]
    names = [f"{'abc'[i % 3]}{i // 3}" for i in range(count)]

    def batches() -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
        for start in range(0, count, 2):
            yield names[start : start + 2], image[start : start + 2]

    return ProofImages(batches(), count, lambda: image)


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sihwa.inspector.parity.measure_speed", lambda r, _: [(12.34, 50.0)] * len(r)
    )


def prove_one(changes: dict[int, list[float]], images: ProofImages | None = None) -> ParityProof:
    probability = EXACT.copy()
    for row, value in changes.items():
        probability[row] = value
    (proof,) = prove(
        FakeRuntime(EXACT).run, [FakeRuntime(probability)], images or some_images(), CARD, {}
    )
    return proof


def test_prove_equal_runtime_is_proven_in_every_size() -> None:
    proof = prove_one({})
    assert proof.proven
    assert (proof.images, proof.flips, proof.greatest_difference) == (3 * SIZES, 0, 0.0)
    assert (proof.images_per_second_1, proof.images_per_second_32) == (12.3, 50.0)


@pytest.mark.parametrize(
    ("changes", "worst", "reason"),
    [
        pytest.param({2: [0.49999, 0.50001]}, "c0", "4 of 12 decisions flip", id="flip"),
        pytest.param({0: [0.6, 0.4], 2: [0.49, 0.51]}, "c0", "3.0e-01", id="flip comes first"),
        pytest.param({1: [0.21, 0.79]}, "b0", "differs by 1.0e-02", id="difference"),
        pytest.param({0: [np.nan, np.nan]}, "a0", "differs by 1.0e+00", id="NaN"),
    ],
)
def test_prove_runtime_that_differs_is_refused_and_image_named(
    changes: dict[int, list[float]], worst: str, reason: str
) -> None:
    proof = prove_one(changes)
    assert not proof.proven
    assert proof.worst_path.startswith(worst)
    assert reason in proof.verdict()


def test_prove_no_images_proves_nothing() -> None:
    proof = prove_one({}, some_images(0))
    assert not proof.proven
    assert "no image" in proof.verdict()


def test_prove_several_runtimes_are_judged_apart() -> None:
    odd = FakeRuntime(np.roll(EXACT, 1, axis=0))
    proofs = prove(FakeRuntime(EXACT).run, [odd, FakeRuntime(EXACT)], some_images(), CARD, {})
    assert [proof.proven for proof in proofs] == [False, True]


def test_prove_many_images_resizes_some_evenly() -> None:
    runtime = FakeRuntime(EXACT)
    prove(FakeRuntime(EXACT).run, [runtime], some_images(96), CARD, {})
    assert runtime.sizes.count((20, 10)) == 96
    assert runtime.sizes.count((9, 4)) == 32  # 0.45 × its own


def test_prove_sampled_runtime_skips_images_that_are_not_resized() -> None:
    same = RuntimeChoice("torch", "cpu", "fp32")
    runtimes = [FakeRuntime(EXACT), FakeRuntime(EXACT, same)]
    proofs = prove(FakeRuntime(EXACT).run, runtimes, some_images(96), CARD, {}, sampled=same)
    assert [proof.images for proof in proofs] == [96 + 32 * (SIZES - 1), 32 * SIZES]


def test_prove_sampled_runtime_that_differs_is_refused() -> None:
    same = RuntimeChoice("torch", "cpu", "fp32")
    odd = FakeRuntime(np.roll(EXACT, 1, axis=0), same)
    [proof] = prove(FakeRuntime(EXACT).run, [odd], some_images(), CARD, {}, sampled=same)
    assert not proof.proven
    assert proof.images == 3 * SIZES


@pytest.mark.parametrize("size", [(1000, 900), (2000, 1500), (5472, 3648), (9000, 9000)])
def test_in_other_sizes_has_another_size_of_every_image(size: tuple[int, int]) -> None:
    image = np.broadcast_to(np.uint8(7), (1, *size, 3))
    shapes = [resized.shape[1:3] for _, resized in in_other_sizes(["a"], image)]
    assert shapes
    assert len(set(shapes)) == len(shapes)
    assert all(shape != size and shape[0] * shape[1] < 4_010_000 for shape in shapes)


def test_prove_allows_flips_and_tolerance_by_precision() -> None:
    odd = FakeRuntime(EXACT[[0, 1, 1]], RuntimeChoice("fake", "cpu", "int8"))
    card = changed(CARD, int8=int8_facts(allowed_flips=SIZES))
    (proof,) = prove(FakeRuntime(EXACT).run, [odd], some_images(), card, {"int8": 0.5})
    assert proof.proven
    assert (proof.flips, proof.allowed_flips, proof.tolerance) == (SIZES, SIZES, 0.5)
