from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sihwa.decision import Margin, TopClassPolicy
from sihwa.errors import InvalidInspector
from sihwa.inspector import (
    Bundle,
    Card,
    MarginFacts,
    Outputs,
    RuntimeChoice,
    create_runtime,
    read_bundle,
)
from sihwa.inspector.runtime.second_pass import SecondPass
from sihwa.inspector.signature import run_checked
from tests.helpers import changed, int8_facts, random_images

POLICY = TopClassPolicy(("good", "dent"), ("good",), unknown_threshold=2.0)


class Painted:
    """A runtime that reads its figures off the first pixel, and says how much it adds to them."""

    def __init__(self, precision: str, adds: float) -> None:
        self.choice = RuntimeChoice("fake", "cpu", precision)
        self.adds = adds
        self.asked: list[list[int]] = []

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        self.asked.append(image[:, 0, 0, 0].tolist())
        good = (image[:, 0, 0, 0] / 255).astype(np.float32)
        mark = np.full((len(image), 1), self.adds, np.float32)
        return Outputs(
            np.stack([good, 1 - good], 1),
            np.full((len(image), 2, 1, 1), self.adds, np.float32),
            mark,
            (image[:, 0, 0, 1] / 100).astype(np.float32) + np.float32(self.adds),
        )


def painted(*pixels: tuple[int, int]) -> NDArray[np.uint8]:
    image = np.zeros((len(pixels), 2, 2, 3), np.uint8)
    image[:, 0, 0, :2] = pixels
    return image


def second_pass(exact: Painted, lead: float = 1.0, unknown: float = 0.1) -> SecondPass:
    return SecondPass(Painted("int8", 0.0), exact, POLICY, Margin(lead, unknown))


def test_second_pass_replaces_close_calls_alone() -> None:
    exact = Painted("fp32", 0.5)
    runtime = second_pass(exact)
    # sure; a close call; sure; nearly unknown
    outputs = runtime.run(painted((250, 0), (130, 0), (3, 0), (255, 195)))
    assert exact.asked == [[130, 255]]
    for values in (outputs.embedding[:, 0], outputs.evidence[:, 0, 0, 0]):
        assert values.tolist() == [0.0, 0.5, 0.0, 0.5]
    assert outputs.unknown == pytest.approx([0.0, 0.5, 0.0, 2.45])
    assert runtime.choice == RuntimeChoice("fake", "cpu", "int8")


def test_second_pass_does_not_write_into_quick_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Painted("int8", 0.0)
    image = painted((130, 0))
    own = quick.run(image)
    monkeypatch.setattr(quick, "run", lambda _: own)
    SecondPass(quick, Painted("fp32", 0.5), POLICY, Margin(1.0, 0.1)).run(image)
    assert own.embedding.tolist() == [[0.0]]


def test_second_pass_without_close_calls_runs_no_exact_model() -> None:
    exact = Painted("fp32", 0.5)
    assert second_pass(exact).run(painted((250, 0), (3, 0))).embedding.tolist() == [[0.0], [0.0]]
    assert exact.asked == []


@pytest.fixture
def bundle(tiny_bundle: Path, tiny_card: Card, tiny_graph: bytes) -> Bundle:
    """The graph stands in for its INT8 model."""
    facts = int8_facts(tiny_graph, margin=MarginFacts(lead=0.3, unknown=0.05))
    whole = read_bundle(tiny_bundle)
    return Bundle(changed(tiny_card, int8=facts), tiny_graph, whole.weights, tiny_graph)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_create_runtime_int8_has_the_second_pass_of_the_card(bundle: Bundle, runtime: str) -> None:
    loaded = create_runtime(bundle, RuntimeChoice(runtime, "cpu", "int8"))
    assert isinstance(loaded, SecondPass)
    assert loaded.choice == RuntimeChoice(runtime, "cpu", "int8")
    assert loaded._exact.choice == RuntimeChoice(runtime, "cpu", "fp32")
    assert loaded._margin == Margin(0.3, 0.05)
    assert loaded._policy.unknown_threshold == bundle.card.policy.unknown_threshold
    image = random_images(9, 40, 30)
    for found, expected in zip(loaded.run(image), loaded._exact.run(image), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_run_checked_int8_model_that_gives_nan_is_run_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = create_runtime(bundle, RuntimeChoice("onnxruntime", "cpu", "int8"))
    assert isinstance(loaded, SecondPass)
    honest = loaded._exact.run

    def damaged(image: NDArray[np.uint8]) -> Outputs:
        return Outputs(*(np.full_like(values, np.nan) for values in honest(image)))

    monkeypatch.setattr(loaded._quick, "run", damaged)
    outputs = run_checked(bundle.card, loaded, random_images(3, 40, 30))
    np.testing.assert_array_equal(outputs.probability, honest(random_images(3, 40, 30)).probability)


def test_run_checked_int8_model_of_another_shape_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = create_runtime(bundle, RuntimeChoice("onnxruntime", "cpu", "int8"))
    assert isinstance(loaded, SecondPass)
    honest = loaded._exact.run
    loaded._margin = Margin(lead=1e9, unknown=1e9)
    monkeypatch.setattr(
        loaded._quick,
        "run",
        lambda image: honest(image)._replace(evidence=np.zeros((3, 3, 1, 1), np.float32)),
    )
    with pytest.raises(
        InvalidInspector, match=r"cannot run the graph on 3 images.*the INT8 model gives"
    ):
        run_checked(bundle.card, loaded, random_images(3, 40, 30))
