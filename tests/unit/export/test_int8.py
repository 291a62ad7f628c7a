import os
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from sihwa.decision import Margin, Policy, ThresholdPolicy, TopClassPolicy
from sihwa.export import int8
from sihwa.export.int8 import (
    Int8Model,
    _import_nncf,
    _in_sizes,
    _margin,
    _Readings,
    float32_nodes,
    quantise_graph,
)
from sihwa.export.ship_check import drop_useless_int8_model
from sihwa.inspector import Bundle, Card, ParityProof, RuntimeChoice, card_policy, create_runtime
from sihwa.inspector.graph_file import check_graph, parse_graph
from tests.helpers import changed, int8_facts, parity_proof, random_images

TRAINING = [random_images(4, 60, 50, seed) for seed in range(6)]
CALIBRATION = [random_images(4, 60, 50, seed) for seed in range(6, 9)]


@pytest.fixture(scope="module")
def int8_models(tiny_graph: bytes, tiny_card: Card) -> list[Int8Model]:
    # a threshold amid the scores of the images, so that some decisions flip
    return quantise_graph(tiny_graph, TRAINING, CALIBRATION, policy(tiny_card))


def policy(card: Card) -> Policy:
    return replace(card_policy(card), unknown_threshold=1.0)


@pytest.fixture(scope="module")
def int8_model(int8_models: list[Int8Model]) -> Int8Model:
    return int8_models[1]


def test_float32_nodes_are_preprocessing_head_and_first(tiny_graph: bytes) -> None:
    model = onnx.load_from_string(tiny_graph)
    outside = set(float32_nodes(model, first=3))
    kinds: dict[str, set[bool]] = {}
    for node in model.graph.node:
        kinds.setdefault(node.op_type, set()).add(node.name in outside)
    assert kinds["MatMul"] == kinds["Softmax"] == {True}
    [evidence] = [node for node in model.graph.node if "evidence" in node.output]
    backbone = [n for n in model.graph.node if n.op_type == "Conv" and n is not evidence]
    assert evidence.name in outside
    assert [node.name in outside for node in backbone] == [True] * 3 + [False] * (len(backbone) - 3)


def test_quantise_graph_gives_a_graph_that_inspectors_allow(int8_model: Int8Model) -> None:
    file = check_graph(
        parse_graph(int8_model.graph, "INT8"), len(int8_model.graph), "INT8", with_card=False
    )
    assert set(file.outputs) == {"probability", "evidence", "embedding", "unknown"}
    operators = [node.op_type for node in onnx.load_from_string(int8_model.graph).graph.node]
    assert "QuantizeLinear" in operators
    assert 0 < int8_model.layers - int8_model.float32_layers <= int8_model.layers


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_quantise_graph_decides_nearly_alike(
    int8_model: Int8Model, tiny_graph: bytes, tiny_card: Card, runtime: str
) -> None:
    card = changed(tiny_card, int8=int8_facts())
    bundle = Bundle(card, tiny_graph, int8_model=int8_model.graph)
    low = create_runtime(bundle, RuntimeChoice(runtime, "cpu", "int8"))
    full = create_runtime(bundle, RuntimeChoice(runtime, "cpu", "fp32"))
    image = random_images(16, 70, 40, seed=9)
    difference = np.abs(low.run(image).probability - full.run(image).probability)
    assert 0 < difference.max() < 0.5


def test_quantise_graph_uses_seven_bits_per_weight(int8_model: Int8Model) -> None:
    model = onnx.load_from_string(int8_model.graph)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    largest = []
    for node in model.graph.node:
        source = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        # one weight per product: a depthwise convolution adds too few to overflow
        is_dense = all(a.i == 1 for a in node.attribute if a.name == "group")
        if source is not None and source.op_type == "DequantizeLinear" and is_dense:
            weight = onnx.numpy_helper.to_array(tensors[source.input[0]])
            largest.append(int(np.abs(weight.astype(np.int32)).max()))
    assert largest
    assert max(largest) <= 64


def test_quantise_graph_three_models_flip_no_decision_outside_their_margin(
    int8_models: list[Int8Model], tiny_graph: bytes, tiny_card: Card
) -> None:
    decide, names, flips = policy(tiny_card), ["probability", "unknown"], 0
    reference = onnxruntime.InferenceSession(tiny_graph)
    for int8_model in int8_models:
        session = onnxruntime.InferenceSession(int8_model.graph)
        close_calls = list[bool]()
        for place, image in enumerate(_in_sizes(CALIBRATION)):
            ours, exact = (one.run(names, {"image": image}) for one in (session, reference))
            close = decide.is_close(ours[0], ours[1], int8_model.margin)
            decisions = zip(decide.decide(*ours), decide.decide(*exact), strict=True)
            flipped = np.array([our != other for our, other in decisions])
            assert not (flipped & ~close).any()
            assert np.abs(ours[0] - exact[0])[~close].max(initial=0) <= 0.05
            flips += int(flipped.sum())
            close_calls += close.tolist() if place < len(CALIBRATION) else []
        assert int8_model.second_passes == np.mean(close_calls)
    assert flips > 0
    layers = [int8_model.float32_layers for int8_model in int8_models]
    assert layers == sorted(set(layers))
    assert len(layers) == 3


def test_quantise_graph_leaves_out_models_that_give_nan(
    tiny_graph: bytes,
    tiny_card: Card,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(int8, "_margin", lambda *_: Margin(float("nan"), 0.0))
    batches = [random_images(4, 60, 50)]
    assert quantise_graph(tiny_graph, batches, batches, card_policy(tiny_card)) == []
    assert caplog.text.count("contain NaN or inf") == 3


def readings(probability: list[float], unknown: list[float]) -> _Readings:
    """Return readings of two classes."""
    first = np.array(probability, np.float32)
    scores = np.array(unknown, np.float32)
    return _Readings(np.stack([first, 1 - first], 1), scores, np.zeros((len(first), 1), np.float32))


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


POLICY = TopClassPolicy(("a", "b"), ("a",), unknown_threshold=2.0)


@pytest.mark.parametrize(
    ("ours", "exact", "lead", "unknown"),
    [
        pytest.param(
            ([0.99, 0.99, 0.6], [1.0, 1.0, 1.0]),
            ([0.98, 0.985, 0.7], [1.0, 1.0, 1.0]),
            1.5 * (logit(0.99) - logit(0.98)),
            0.0,
            id="1.5 times the most overstated lead",
        ),
        pytest.param(
            ([0.99, 0.99], [1.5, 3.0]),
            ([0.99, 0.99], [1.7, 2.9]),
            0.0,
            0.3,
            id="1.5 times the most overstated distance from the threshold",
        ),
        pytest.param(
            ([0.9, 0.99], [1.0, 1.0]),
            ([0.96, 0.99], [1.0, 1.0]),
            logit(0.9),
            0.0,
            id="lead of a probability that is 0.06 off",
        ),
        pytest.param(
            ([0.9, 0.99], [2.001, 1.0]),
            ([0.96, 0.99], [2.0, 1.0]),
            0.0,
            0.0015,
            id="0.06 off, but in the second pass anyway",
        ),
    ],
)
def test_margin_covers_the_worst_image(
    ours: tuple[list[float], list[float]],
    exact: tuple[list[float], list[float]],
    lead: float,
    unknown: float,
) -> None:
    margin = _margin(readings(*ours), readings(*exact), POLICY)
    assert list(margin) == pytest.approx([lead, unknown, 0], abs=1e-4)


def test_margin_covers_the_most_overstated_odds() -> None:
    policy = ThresholdPolicy(("a", "b"), ("a",), accept_at_most=0.1, reject_at_least=0.5)
    ours, exact = readings([0.98, 0.2], [1.0, 1.0]), readings([0.96, 0.25], [1.0, 1.0])
    expected = 1.5 * (logit(0.98) - logit(0.96))
    assert _margin(ours, exact, policy).odds == pytest.approx(expected, abs=1e-4)


def test_import_nncf_turns_its_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNCF_CI", raising=False)
    _import_nncf()
    assert os.environ["NNCF_CI"]


def proofs(one: float, many: float, **changes: object) -> list[ParityProof]:
    """Return proofs of the graph at 100 images/s and of an INT8 model at other speeds."""
    int8 = parity_proof("openvino", "int8", one, images_per_second_32=many, **changes)
    return [parity_proof("openvino"), int8]


@pytest.fixture
def with_int8_model(tiny_card: Card) -> Bundle:
    return Bundle(changed(tiny_card, int8=int8_facts()), b"graph", b"weights", b"int8_model")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(proofs(150, 150), id="faster"),
        pytest.param(proofs(150, 90), id="faster one by one"),
        pytest.param(proofs(90, 150), id="faster in batches"),
        pytest.param(
            [*proofs(300, 300, flips=1), parity_proof("onnxruntime", "int8", 200)],
            id="proven in one runtime",
        ),
    ],
)
def test_drop_useless_int8_model_keeps_a_useful_one(
    with_int8_model: Bundle, given: list[ParityProof]
) -> None:
    assert drop_useless_int8_model(with_int8_model, given) == (with_int8_model, given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param(
            proofs(300, 300, flips=2), "int8: refused, 2 of 50 decisions flip", id="flips"
        ),
        pytest.param(
            proofs(300, 300, greatest_difference=0.2),
            "int8: refused, a probability differs by 2.0e-01",
            id="difference",
        ),
        pytest.param(proofs(105, 109), "not a tenth faster: 105 images/s", id="hardly faster"),
    ],
)
def test_drop_useless_int8_model_drops_it_and_says_why(
    with_int8_model: Bundle, given: list[ParityProof], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    bundle, left = drop_useless_int8_model(with_int8_model, given)
    assert (bundle.int8_model, bundle.card.int8) == (None, None)
    assert left == given[:1]
    assert reason in caplog.text
