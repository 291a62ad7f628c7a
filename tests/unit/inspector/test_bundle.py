import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sihwa.errors import ConfigError, RuntimeUnavailable, ShapeError
from sihwa.images import batches_by_size
from sihwa.inspector import Card, RuntimeChoice, installed_choices, load_inspector, read_bundle
from sihwa.model import Network
from tests.helpers import CLASSES, random_images, save_images


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_load_inspector_decides_as_the_network(
    tiny_bundle: Path, tiny_network: Network, runtime: str
) -> None:
    image = random_images(8, 70, 90, seed=1)
    with torch.no_grad():
        expected = tiny_network(torch.from_numpy(image)).probability.numpy()
    inspections = load_inspector(tiny_bundle, runtime=runtime).predict(list(image))
    for inspection, probability in zip(inspections, expected, strict=True):
        np.testing.assert_allclose(inspection.probability, probability, atol=1e-4)
        assert inspection.top_class == CLASSES[probability.argmax()]
        accepted = inspection.top_class == "good"
        assert inspection.decision.outcome == ("accept" if accepted else "reject")


def test_predict_mixed_sizes_and_kinds_keeps_the_order(tiny_bundle: Path, tmp_path: Path) -> None:
    inspector = load_inspector(tiny_bundle)
    large, small = random_images(2, 80, 60, seed=2), random_images(2, 30, 20, seed=3)
    path = save_images(tmp_path / "p", large[:1])[0]
    mixed = inspector.predict([small[0], path, large[1], str(path), path.read_bytes(), small[1]])
    alone = [
        inspector.predict(p)[0]
        for p in (small[0], large[0], large[1], large[0], large[0], small[1])
    ]
    for one, other in zip(mixed, alone, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)


def test_predict_unreadable_image_goes_to_review_in_its_place(tiny_bundle: Path) -> None:
    good = random_images(1, 30, 20)[0]
    first, second = load_inspector(tiny_bundle).predict([b"no image", good])
    assert first.decision.outcome == "review"
    assert first.error
    assert second.error is None
    assert load_inspector(tiny_bundle).predict([]) == []


def test_predict_image_of_one_colour_is_always_reviewed(tiny_bundle: Path) -> None:
    drawn = random_images(1, 40, 70)[0]
    flat = np.full_like(drawn, (90, 8, 7))
    dust = flat.copy()
    dust[5, 7, 1] += 1
    found = load_inspector(tiny_bundle).predict([drawn, flat, dust])
    reasons = [one.decision.reason for one in found]
    assert reasons[1] == "all pixels are the same"
    assert found[1].decision.outcome == "review"
    assert found[1].top_class is not None
    assert reasons[0] != reasons[1] != reasons[2]


@pytest.mark.parametrize(
    ("name", "index"), [("probability", (1, 0)), ("probability", (1, 2)), ("unknown", 1)], ids=str
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_interpret_nan_or_inf_has_no_top_class(
    tiny_bundle: Path, name: str, index: tuple[int, ...] | int, value: float
) -> None:
    inspector = load_inspector(tiny_bundle)
    outputs = inspector.runtime.run(random_images(3, 40, 50))
    expected = inspector.interpret(outputs, 40, 50)
    spoilt = getattr(outputs, name).copy()
    spoilt[index] = value
    before, none, after = inspector.interpret(outputs._replace(**{name: spoilt}), 40, 50)
    assert (none.decision.outcome, none.decision.reason) == (
        "review",
        "the network gave NaN or inf",
    )
    assert (none.top_class, none.box, none.evidence.size, none.error) == (None, None, 0, None)
    assert [before.top_class, after.top_class] == [expected[0].top_class, expected[2].top_class]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((5, 5, 3), "f4"), ((5, 5, 3), "i8"), ((0, 5, 3), "u1"), ((5, 5), "u1"), ((5, 5, 4), "u1")],
    ids=["float", "int", "no row", "grey", "alpha"],
)
def test_predict_array_of_another_kind_is_refused(
    tiny_bundle: Path, shape: tuple[int, ...], kind: str
) -> None:
    inspector, image = load_inspector(tiny_bundle), np.zeros(shape, kind)
    with pytest.raises(ShapeError, match=r"must be uint8 \(H, W, 3\), but got"):
        inspector.predict(image)
    with pytest.raises(ShapeError, match=r"must be \(N, H, W, 3\) uint8 RGB but got"):
        inspector.predict_batch(image[None])


def test_read_bundle_card_survives_the_journey(tiny_bundle: Path, tiny_card: Card) -> None:
    assert read_bundle(tiny_bundle).card == tiny_card
    beside = json.loads((tiny_bundle / "card.json").read_text("utf-8"))
    assert beside["classes"] == list(CLASSES)
    assert beside["id"] == tiny_card.id
    assert set(beside["files"]) == {"inspector.onnx", "weights.safetensors", "README.md"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"runtime": "tensorflow"}, "runtime must be one of auto, onnxruntime, openvino, torch"),
        (
            {"runtime": "onnxruntime", "precision": "bf16"},
            "onnxruntime runs on cpu in fp32 or int8, onnxruntime runs on cuda in fp32 or fp16; "
            "got cpu in bf16",
        ),
        ({"runtime": "openvino", "device": "cuda"}, "openvino runs on cpu in .* got cuda in auto"),
        ({"device": "gpu"}, "device must be cpu, cuda or cuda:N; got 'gpu'"),
        ({"device": "cuda:-1"}, "device must be cpu, cuda or cuda:N; got 'cuda:-1'"),
        ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16, fp16, int8; got 'fp8'"),
        (
            {"precision": "bf16"},
            "any runtime on cpu in bf16 needs a proof on this machine, .*sihwa verify"
            "|precision=bf16 on cpu cannot run here: openvino: this processor has no bfloat16",
        ),
        (
            {"runtime": "onnxruntime", "device": "cuda"},
            "no CUDAExecutionProvider.*pip install onnxruntime-gpu",
        ),
        ({"device": "cuda"}, "PyTorch sees 0 CUDA devices here"),
    ],
)
def test_load_inspector_unknown_runtime_lists_what_there_is(
    tiny_bundle: Path, settings: dict[str, str], message: str
) -> None:
    kind = ConfigError if " must be " in message else RuntimeUnavailable
    with pytest.raises(kind, match=message):
        load_inspector(tiny_bundle, **settings)  # type: ignore[arg-type]


def test_installed_choices_reference_comes_first(tiny_bundle: Path) -> None:
    choices = installed_choices(read_bundle(tiny_bundle))
    assert choices[0] == RuntimeChoice("onnxruntime", "cpu", "fp32")
    assert RuntimeChoice("openvino", "cpu", "fp32") in choices
    assert RuntimeChoice("torch", "cpu", "fp32") in choices
    assert not [choice for choice in choices if choice.precision == "int8"]  # it has no INT8 model


def test_batches_by_size_keep_sizes_apart_and_memory_bounded() -> None:
    small, large, huge = (np.zeros((side, side, 3), np.uint8) for side in (2, 1500, 2000))
    given = [("a", small), ("b", huge), ("c", large), ("d", small), ("e", large), ("f", large)]
    found = [(keys, images.shape) for keys, images in batches_by_size([*given, ("g", large)], 3)]
    assert found == [  # 12 MB alone; two of 6.75 MB; what is left
        (["b"], (1, 2000, 2000, 3)),
        (["c", "e"], (2, 1500, 1500, 3)),
        (["f", "g"], (2, 1500, 1500, 3)),
        (["a", "d"], (2, 2, 2, 3)),
    ]
