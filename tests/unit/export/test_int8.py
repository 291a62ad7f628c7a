import os
import re
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from sihwa.decision import Margin, TopClassPolicy
from sihwa.export import int8
from sihwa.export.int8 import (
    Int8Model,
    _import_nncf,
    _in_sizes,
    _margin,
    _Readings,
    outside_the_trunk,
    quantise_graph,
)
from sihwa.export.proof import without_useless_int8_model
from sihwa.inspector import (
    Bundle,
    Card,
    ParityProof,
    RuntimeChoice,
    card_policy,
    create_runtime,
)
from sihwa.inspector.graph_file import check_graph, parse_graph
from tests.helpers import changed, int8_facts, parity_proof, random_images


@pytest.fixture(scope="module")
def int8_models(tiny_graph: bytes, tiny_card: Card) -> list[Int8Model]:
    training = [random_images(4, 60, 50, seed) for seed in range(6)]
    calibration = [random_images(4, 60, 50, seed) for seed in range(6, 9)]
    return quantise_graph(tiny_graph, training, calibration, card_policy(tiny_card))


@pytest.fixture(scope="module")
def int8_model(int8_models: list[Int8Model]) -> Int8Model:
    return int8_models[1]


def test_outside_the_trunk_holds_preprocessing_and_head(tiny_graph: bytes) -> None:
    model = onnx.load_from_string(tiny_graph)
    outside = set(outside_the_trunk(model, first=3))
    kinds: dict[str, set[bool]] = {}
    for node in model.graph.node:
        kinds.setdefault(node.op_type, set()).add(node.name in outside)
    assert kinds["MatMul"] == kinds["Softmax"] == {True}
    [evidence] = [node for node in model.graph.node if "evidence" in node.output]
    trunk = [n for n in model.graph.node if n.op_type == "Conv" and n is not evidence]
    assert evidence.name in outside
    assert [node.name in outside for node in trunk] == [True] * 3 + [False] * (len(trunk) - 3)


def test_quantise_graph_is_one_that_an_inspector_may_hold(int8_model: Int8Model) -> None:
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


def test_quantise_graph_uses_seven_bits_of_each_weight(int8_model: Int8Model) -> None:
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


def test_quantise_graph_evidence_and_probability_share_weights(
    int8_model: Int8Model,
) -> None:
    model = onnx.load_from_string(int8_model.graph)
    value = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    [evidence] = [node for node in model.graph.node if "evidence" in node.output]
    name = evidence.input[1]
    weight = value[name] if name in value else value[made_by[name].input[0]]
    np.testing.assert_array_equal(weight.ravel(), value["classifier.weight"].ravel())


def test_quantise_graph_gives_three_each_with_more_in_float32(
    int8_models: list[Int8Model],
) -> None:
    layers = [int8_model.float32_layers for int8_model in int8_models]
    assert layers == sorted(set(layers))
    assert len(layers) == 3


def test_quantise_graph_within_its_margin_no_calibration_image_is_decided_otherwise(
    tiny_graph: bytes, tiny_card: Card
) -> None:
    # a border amid the images, so that something flips
    policy = replace(card_policy(tiny_card), unknown_threshold=1.0)
    training = [random_images(4, 60, 50, seed) for seed in range(6)]
    calibration = [random_images(4, 60, 50, seed) for seed in range(6, 9)]
    reference = onnxruntime.InferenceSession(tiny_graph)
    int8_models = quantise_graph(tiny_graph, training, calibration, policy)
    flips = 0
    for int8_model in int8_models:
        session = onnxruntime.InferenceSession(int8_model.graph)
        close_ones = list[bool]()
        for place, image in enumerate(_in_sizes(calibration)):
            names = ["probability", "unknown"]
            ours, exact = (one.run(names, {"image": image}) for one in (session, reference))
            close = policy.is_close(ours[0], ours[1], int8_model.margin)
            decided = zip(policy.decide(*ours), policy.decide(*exact), strict=True)
            flipped = np.array([our != other for our, other in decided])
            assert not (flipped & ~close).any()
            assert np.abs(ours[0] - exact[0])[~close].max(initial=0) <= 0.05
            flips += int(flipped.sum())
            close_ones += close.tolist() if place < len(calibration) else []
        assert int8_model.second_passes == np.mean(close_ones)
    assert flips > 0


def test_quantise_graph_leaves_out_int8_models_that_give_no_numbers(
    tiny_graph: bytes,
    tiny_card: Card,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(int8, "_margin", lambda *_: Margin(float("nan"), 0.0))
    batches = [random_images(4, 60, 50)]
    assert quantise_graph(tiny_graph, batches, batches, card_policy(tiny_card)) == []
    assert caplog.text.count("it gives no numbers") == 3


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
            id="half as much again as the most overstated lead",
        ),
        pytest.param(
            ([0.99, 0.99], [1.5, 3.0]),
            ([0.99, 0.99], [1.7, 2.9]),
            0.0,
            0.3,
            id="half as much again as the most overstated distance from the threshold",
        ),
        pytest.param(
            ([0.9, 0.99], [1.0, 1.0]),
            ([0.96, 0.99], [1.0, 1.0]),
            logit(0.9),
            0.0,
            id="the lead of a probability that is 0.06 off, though understated",
        ),
        pytest.param(
            ([0.9, 0.99], [2.001, 1.0]),
            ([0.96, 0.99], [2.0, 1.0]),
            0.0,
            0.0015,
            id="not where it needs a second pass anyway",
        ),
    ],
)
def test_margin_is_that_of_the_worst_image(
    ours: tuple[list[float], list[float]],
    exact: tuple[list[float], list[float]],
    lead: float,
    unknown: float,
) -> None:
    margin = _margin(readings(*ours), readings(*exact), POLICY)
    assert margin == (pytest.approx(lead, abs=1e-4), pytest.approx(unknown, abs=1e-4))


def test_quantise_graph_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNCF_CI", raising=False)
    _import_nncf()
    assert os.environ["NNCF_CI"]


def proof(runtime: str, precision: str, rate: float, flips: int = 0) -> ParityProof:
    return parity_proof(runtime, precision, rate, flips=flips, tolerance=0.1)


@pytest.fixture
def with_int8_model(tiny_card: Card) -> Bundle:
    return Bundle(changed(tiny_card, int8=int8_facts()), b"graph", b"weights", b"int8_model")


@pytest.mark.parametrize("rates", [(150, 150), (150, 90), (90, 150)])
def test_without_useless_int8_model_keeps_one_that_is_faster_in_some_manner(
    with_int8_model: Bundle, rates: tuple[float, float]
) -> None:
    one, many = rates
    int8_model = parity_proof(
        "openvino", "int8", images_per_second_1=one, images_per_second_32=many
    )
    proofs = [proof("openvino", "fp32", 100), int8_model]
    assert without_useless_int8_model(with_int8_model, proofs) == (with_int8_model, proofs)


@pytest.mark.parametrize(
    ("proofs", "reason"),
    [
        pytest.param(
            [proof("openvino", "fp32", 100), proof("openvino", "int8", 300, flips=2)],
            "it is refused: openvino .* 2 of 50 decisions flip.*p.png",
            id="it flips decisions",
        ),
        pytest.param(
            [proof("openvino", "fp32", 100), proof("openvino", "int8", 105)],
            "not really faster here: 105 images/s by openvino on cpu in int8, 100 by openvino on "
            "cpu in fp32, one by one; 105 images/s by .*, 100 by .*, in batches of 32",
            id="it is hardly faster",
        ),
    ],
)
def test_without_useless_int8_model_drops_it_and_says_why(
    with_int8_model: Bundle,
    proofs: list[ParityProof],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, left = without_useless_int8_model(with_int8_model, proofs)
    assert bundle == replace(
        with_int8_model, card=changed(with_int8_model.card, int8=None), int8_model=None
    )
    assert left == proofs[:1]
    caplog.clear()
    with caplog.at_level("WARNING"):
        without_useless_int8_model(with_int8_model, proofs)
    assert re.search(reason, caplog.text)


def test_without_useless_int8_model_one_that_decides_alike_in_one_runtime_is_kept(
    with_int8_model: Bundle,
) -> None:
    proofs = [
        proof("openvino", "fp32", 100),
        proof("openvino", "int8", 300, flips=1),
        proof("onnxruntime", "int8", 200),
    ]
    assert without_useless_int8_model(with_int8_model, proofs) == (with_int8_model, proofs)
