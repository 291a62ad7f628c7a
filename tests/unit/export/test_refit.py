import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sihwa.export.refit import refit_head

D, K, R = 12, 3, 5
rng = np.random.default_rng(0)
HEAD = {
    "classifier.weight": rng.normal(size=(K, D)),
    "classifier.bias": rng.normal(size=K),
    "unknown.projection": rng.normal(size=(D, R)),
    "unknown.centre": rng.normal(size=(K, R)),
}
AIM = rng.normal(2, 1, (4000, D))


@pytest.fixture
def model() -> onnx.ModelProto:
    tensors = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in HEAD.items()
    ]
    copy = numpy_helper.from_array(
        HEAD["classifier.weight"].astype(np.float32)[:, :, None, None], "evidence_weight"
    )
    other = numpy_helper.from_array(np.arange(K, dtype=np.float32), "other")
    return helper.make_model(
        helper.make_graph([], "head", [], [], initializer=[*tensors, copy, other])
    )


def numbers(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def readings(
    value: dict[str, NDArray[np.float32]], embedding: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    logits = embedding @ value["classifier.weight"].T + value["classifier.bias"]
    offset = (embedding @ value["unknown.projection"])[:, None] - value["unknown.centre"]
    return logits, np.square(offset).mean(2)


def test_refit_head_undoes_a_gain_and_a_shift(model: onnx.ModelProto) -> None:
    before = numbers(model)
    gain, shift = np.linspace(0.7, 1.3, D), np.linspace(-0.5, 0.5, D)
    refit_head(model, AIM * gain + shift, AIM)
    fresh = np.random.default_rng(1).normal(2, 1, (50, D))
    aim = readings(before, fresh)
    without = readings(before, fresh * gain + shift)
    for wanted, got, spoilt in zip(
        aim, readings(numbers(model), fresh * gain + shift), without, strict=True
    ):
        error, harm = np.abs(got - wanted).mean(), np.abs(spoilt - wanted).mean()
        assert error < 0.05 * harm


def test_refit_head_equal_embedding_changes_nothing(model: onnx.ModelProto) -> None:
    before = numbers(model)
    refit_head(model, AIM, AIM)
    for name, value in numbers(model).items():
        np.testing.assert_allclose(value, before[name], atol=1e-6)


def test_refit_head_updates_the_copy_for_the_evidence_map(model: onnx.ModelProto) -> None:
    refit_head(model, AIM * 1.2, AIM)
    value = numbers(model)
    copy = value["evidence_weight"]
    assert copy.shape == (K, D, 1, 1)
    np.testing.assert_array_equal(copy[:, :, 0, 0], value["classifier.weight"])
    np.testing.assert_array_equal(value["other"], np.arange(K))


def test_refit_head_faint_coordinate_is_not_stretched(model: onnx.ModelProto) -> None:
    aim = AIM.copy()
    aim[:, 0] = np.random.default_rng(2).normal(0, 1e-4, len(aim))
    noisy = aim + np.random.default_rng(3).normal(0, 0.1, aim.shape) * np.r_[1e-3, np.ones(D - 1)]
    before = numbers(model)["classifier.weight"].copy()
    refit_head(model, noisy, aim)
    change = np.abs(numbers(model)["classifier.weight"] - before)[:, 0]
    assert change.max() < 1


def test_refit_head_unused_directions_stay_zero(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name.startswith("unknown."):
            zero = np.zeros(numpy_helper.to_array(tensor).shape, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(zero, tensor.name))
    refit_head(model, AIM * 1.2, AIM)
    assert not numbers(model)["unknown.projection"].any()
    assert not numbers(model)["unknown.centre"].any()
