"""What each runtime is asked to do, on this machine and on ones that are not at hand."""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from sihwa.errors import RuntimeUnavailable
from sihwa.export import network_facts
from sihwa.inspector import (
    MOST_TIMED,
    Bundle,
    Outputs,
    RuntimeChoice,
    create_runtime,
    installed_choices,
    load_inspector,
    measure_speed,
    read_bundle,
    timed_images,
)
from sihwa.inspector.card import read_card
from sihwa.inspector.runtime import openvino_runtime, torch_runtime
from sihwa.inspector.runtime.torch_runtime import CapturedGraphs, rebuild_network
from sihwa.model import Framing, Network, create_network
from tests.helpers import changed, int8_facts, random_images, tiny_config


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def test_rebuild_network_sees_what_the_card_says_of_an_image(bundle: Bundle) -> None:
    framing = Framing((32, 64), "letterbox", (2, 3), 0.25, (0.0, 0.1, 0.5, 0.9), (3, 5))
    network = create_network(tiny_config(), 3, framing=framing, accepted=[0])
    network.preprocessing.mask.zero_()
    card = changed(bundle.card, network=network_facts(network, tiny_config()))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    read = read_card(card.as_json(), "card")
    again = rebuild_network(dataclasses.replace(bundle, card=read, weights=save(state)))
    assert again.framing == framing
    assert again.pooling is not None
    assert again.pooling.sign.tolist() == [-1, 1, 1]
    assert not again.preprocessing.mask.any()


def test_card_says_nothing_of_the_framing_where_the_whole_image_is_seen(bundle: Bundle) -> None:
    network = create_network(tiny_config(), 3)
    assert network_facts(network, tiny_config()) == bundle.card.network
    assert "framing" not in bundle.card.as_json()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_predict_from_many_threads_gives_each_its_own(tiny_bundle: Path, runtime: str) -> None:
    inspector = load_inspector(tiny_bundle, runtime=runtime)
    images = [*random_images(12, 40, 50, seed=3), *random_images(12, 64, 30, seed=4)]
    expected = [inspector.predict(image)[0].probability for image in images]
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        start.wait()
        for step in range(24):
            place = (step * (worker + 1)) % len(images)
            given = [images[place], images[place - 1]]
            found = inspector.predict(given)
            np.testing.assert_allclose(found[0].probability, expected[place], atol=1e-5)
            np.testing.assert_allclose(found[1].probability, expected[place - 1], atol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(8)))) == 8


@pytest.mark.parametrize(
    ("runtime", "package"),
    [("openvino", "openvino"), ("torch", r'"sihwa\[train\]"'), ("onnxruntime", "onnxruntime")],
)
def test_create_runtime_missing_package_names_the_pip_line(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, runtime: str, package: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RuntimeUnavailable, match=f"not installed.*: pip install {package}"):
        create_runtime(bundle, RuntimeChoice(runtime, "cpu", "fp32"))
    assert installed_choices(bundle) == []


def test_create_runtime_without_int8_model_says_where_one_comes_from(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"no INT8 model.*export\.int8=true"):
        create_runtime(bundle, RuntimeChoice("openvino", "cpu", "int8"))
    elsewhere = dataclasses.replace(bundle, card=changed(bundle.card, int8=int8_facts()))
    with pytest.raises(RuntimeUnavailable, match=r"INT8 model is a file beside the graph"):
        create_runtime(elsewhere, RuntimeChoice("openvino", "cpu", "int8"))


def test_create_runtime_torch_without_weights_says_what_to_load(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailable, match="load the whole inspector folder"):
        create_runtime(Bundle(bundle.card, bundle.graph), RuntimeChoice("torch", "cpu", "fp32"))


def test_rebuild_network_is_the_trained_one(bundle: Bundle, tiny_network: Network) -> None:
    own, given = tiny_network.state_dict(), rebuild_network(bundle).state_dict()
    assert own.keys() == given.keys()
    assert all(torch.equal(own[name], given[name]) for name in own)


def test_torch_bf16_lowers_the_backbone_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_runtime, "fault", lambda _: None)
    low = create_runtime(bundle, RuntimeChoice("torch", "cpu", "bf16"))
    full = create_runtime(bundle, RuntimeChoice("torch", "cpu", "fp32"))
    seen: dict[str, torch.dtype] = {}
    network: Any = low._network  # type: ignore[attr-defined]
    first = next(m for m in network.backbone.modules() if isinstance(m, torch.nn.Conv2d))
    first.register_forward_hook(lambda *call: seen.update(backbone=call[-1].dtype))
    network.classifier.register_forward_hook(lambda *call: seen.update(head=call[-1].dtype))
    network.preprocessing.register_forward_hook(lambda *call: seen.update(before=call[-1].dtype))
    image = random_images(4, 50, 60)
    low_outputs, outputs = low.run(image), full.run(image)
    assert seen == {"before": torch.float32, "backbone": torch.bfloat16, "head": torch.float32}
    assert 0 < np.abs(low_outputs.probability - outputs.probability).max() < 0.05
    assert all(value.dtype == np.float32 for value in low_outputs)


class _Recorder:
    """A captured graph without a GPU: counts captures, and replays by running."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, forward: Callable[..., Any], image: torch.Tensor) -> Any:  # noqa: ANN401
        self.shapes.append(tuple(image.shape))
        static, output = image.clone(), torch.zeros(len(image))

        def replay() -> None:
            output.copy_(forward(static)[0])

        return torch_runtime._Captured(static, (output,), replay)


def _total(image: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (image.float().sum((1, 2, 3)),)


def test_captured_graphs_one_capture_per_shape_and_fresh_results() -> None:
    recorder = _Recorder()
    graphs = CapturedGraphs(_total, recorder)
    ones, twos = torch.ones(2, 3, 4, 3), 2 * torch.ones(2, 3, 4, 3)
    first, second = graphs(ones)[0], graphs(twos)[0]
    assert first.tolist() == [36.0, 36.0]  # the second replay did not write over it
    assert second.tolist() == [72.0, 72.0]
    graphs(torch.ones(1, 3, 4, 3))
    assert recorder.shapes == [(2, 3, 4, 3), (1, 3, 4, 3)]


def test_captured_graphs_the_least_used_shape_is_dropped() -> None:
    recorder = _Recorder()
    graphs = CapturedGraphs(_total, recorder)
    for width in range(1, 10):
        graphs(torch.ones(1, 1, 1, 3))
        graphs(torch.ones(1, 1, width, 3))
    assert len(recorder.shapes) == 9
    graphs(torch.ones(1, 1, 1, 3))
    assert len(recorder.shapes) == 9
    graphs(torch.ones(1, 1, 2, 3))
    assert len(recorder.shapes) == 10


class _Session:
    made: list[Any] = []  # noqa: RUF012
    starts = True

    def __init__(self, *_: object, providers: list[Any]) -> None:
        self.providers = providers
        self.made.append(self)

    def get_providers(self) -> list[str]:
        return [self.providers[0][0] if self.starts else "CPUExecutionProvider"]


@pytest.fixture
def gpu_session(monkeypatch: pytest.MonkeyPatch) -> type[_Session]:
    """ONNX Runtime as it looks where its GPU build is installed."""
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _Session)
    monkeypatch.setattr(_Session, "made", [])
    return _Session


@pytest.mark.parametrize(
    ("precision", "provider", "settings"),
    [
        ("fp32", "CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"}),
        ("fp16", "TensorrtExecutionProvider", {"device_id": "1", "trt_fp16_enable": "1"}),
    ],
)
def test_onnx_runtime_on_a_gpu_asks_for_exact_arithmetic(
    bundle: Bundle,
    gpu_session: type[_Session],
    precision: str,
    provider: str,
    settings: dict[str, str],
) -> None:
    create_runtime(bundle, RuntimeChoice("onnxruntime", "cuda:1", precision))
    assert gpu_session.made[0].providers == [(provider, settings)]


def test_onnx_runtime_gpu_that_does_not_start_is_not_replaced_by_the_cpu(
    bundle: Bundle, gpu_session: type[_Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_session, "starts", False)
    with pytest.raises(RuntimeUnavailable, match="CUDAExecutionProvider is installed but does not"):
        create_runtime(bundle, RuntimeChoice("onnxruntime", "cuda", "fp32"))


def test_split_backbone_lowers_the_precision_of_nothing_else(bundle: Bundle) -> None:
    core = openvino.Core()
    image = random_images(3, 40, 50)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    whole = core.compile_model(core.read_model(bundle.graph), "CPU", exact)
    parts = openvino_runtime.split_backbone(core.read_model(bundle.graph))
    before, backbone, after = [{node.get_type_name() for node in part.get_ops()} for part in parts]
    convolutions = {"Convolution", "GroupConvolution"}
    assert "GroupConvolution" in backbone
    assert not backbone & {"MatMul", "Softmax"}
    assert not before & convolutions
    assert {"Softmax", "MatMul", "Convolution"} <= after  # the one that makes the evidence map
    assert "GroupConvolution" not in after

    run = [core.compile_model(part, "CPU", exact) for part in parts]
    maps = run[1](list(run[0]([image]).values()))
    given = run[2]([*maps.values(), image]).values()
    for found, expected in zip(given, whole([image]).values(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_openvino_in_bfloat16_sees_the_image_in_float32(bundle: Bundle) -> None:
    choice = RuntimeChoice("openvino", "cpu", "bf16")
    if (reason := openvino_runtime.fault(choice)) is not None:
        pytest.skip(reason)
    image = random_images(6, 90, 70)
    expected = create_runtime(bundle, RuntimeChoice("openvino", "cpu", "fp32")).run(image)
    found = create_runtime(bundle, choice).run(image)
    core = openvino.Core()
    lower = {"INFERENCE_PRECISION_HINT": "bf16"}
    whole = core.compile_model(core.read_model(bundle.graph), "CPU", lower)
    everything = whole([image])[whole.output("embedding")]
    error, worse = (np.abs(e - expected.embedding).mean() for e in (found.embedding, everything))
    assert 0 < error < 0.7 * worse


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_many_images_give_the_same_in_parts(bundle: Bundle, runtime: str) -> None:
    loaded = create_runtime(bundle, RuntimeChoice(runtime, "cpu", "fp32"))
    image = random_images(11, 40, 50)
    together = loaded.run(image)
    for place, one in enumerate(image):
        for found, expected in zip(together, loaded.run(one[None]), strict=True):
            assert len(found) == len(image)
            np.testing.assert_array_equal(found[place], expected[0])


class Watched:
    """Keeps what it is given."""

    choice = RuntimeChoice("fake", "cpu", "fp32")

    def __init__(self) -> None:
        self.seen: list[NDArray[np.uint8]] = []

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        self.seen.append(image)
        return Outputs(*(np.zeros(0, np.float32),) * 4)


def test_measure_speed_goes_through_all_the_images() -> None:
    image = np.zeros((3, 2, 2, 3), np.uint8)
    image[:, 0, 0, 0] = range(3)
    runtime = Watched()
    measure_speed([runtime], image)
    seen = [batch[:, 0, 0, 0].tolist() for batch in runtime.seen]
    singles = [batch[0] for batch in seen if len(batch) == 1]
    assert len(singles) > 3
    order = singles[:3]
    assert sorted(order) == [0, 1, 2]
    assert singles == [order[place % 3] for place in range(len(singles))]
    assert [order[place % 3] for place in range(32)] in seen


def test_measure_speed_shows_classes_mixed_and_large_images_a_few_at_a_time() -> None:
    image = np.zeros((64, 2, 2, 3), np.uint8)
    image[32:] = 1  # as in a folder sorted by class
    runtime = Watched()
    measure_speed([runtime], image)
    assert {0.2 < batch.mean() < 0.8 for batch in runtime.seen if len(batch) == 32} == {True}
    runtime = Watched()
    measure_speed([runtime], np.zeros((2, 1000, 1400, 3), np.uint8))  # 4 of them are 16 MiB
    assert {len(batch) for batch in runtime.seen} == {1, 3}


def test_timed_images_take_one_size_and_no_more_than_needed() -> None:
    first, other = np.full((4, 6, 3), 7, np.uint8), np.zeros((6, 4, 3), np.uint8)
    assert timed_images([]) is None
    found = timed_images([first, other, *[np.zeros((4, 6, 3), np.uint8)] * (MOST_TIMED + 5)])
    assert found is not None
    assert found.shape == (MOST_TIMED, 4, 6, 3)
    assert found[0].min() == 7


@pytest.mark.parametrize(("side", "expected"), [(1000, 7), (9000, 1)])  # 9 or 81 MB of 64
def test_timed_images_large_ones_are_fewer_but_one_at_least(side: int, expected: int) -> None:
    found = timed_images(np.zeros((side, 3000, 3), np.uint8) for _ in range(9))
    assert found is not None
    assert len(found) == expected
