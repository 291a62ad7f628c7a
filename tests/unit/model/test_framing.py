"""Rectangles, letterbox, tiles and regions against plain resizing of the pixels themselves."""

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sihwa.errors import ConfigError
from sihwa.inspector.operators import OPERATORS, check_arguments
from sihwa.model import Framing, Network, Preprocessing, export_graph
from sihwa.model.framing import tile_lengths
from sihwa.model.whole_map import whole_map
from tests.helpers import random_images, tiny_config

FRAMINGS = {
    "rectangle": Framing((64, 96)),
    "letterbox": Framing((64, 64), "letterbox"),
    "tiles": Framing((32, 64), tiles=(2, 3), overlap=0.25),
    "letterbox in tiles": Framing((32, 32), "letterbox", tiles=(1, 2), overlap=0.1),
    "region": Framing((64, 64), region=(0.25, 0.5, 1.0, 0.75)),
    "tiles of a region": Framing((32, 32), tiles=(2, 1), overlap=0.5, region=(0.0, 0.1, 0.5, 0.9)),
    "mask": Framing((64, 64), "letterbox", mask=(3, 5)),
}
SIZES = [(60, 50), (64, 64), (200, 300), (1, 1), (7, 500)]


def preprocess(framing: Framing, image: NDArray[np.uint8]) -> Tensor:
    result: Tensor = Preprocessing(framing, (0.0,) * 3, (1.0,) * 3)(torch.from_numpy(image))
    return result


def resized(image: NDArray[np.uint8], height: int, width: int) -> Tensor:
    plain = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    return functional.interpolate(plain, (height, width), mode="bilinear", antialias=True)


def test_preprocessing_rectangle_equals_antialiased_resize() -> None:
    image = random_images(2, 100, 70)
    result = preprocess(Framing((32, 96)), image)
    torch.testing.assert_close(result, resized(image, 32, 96), atol=5e-6, rtol=0)


def test_preprocessing_region_equals_the_resize_of_its_pixels() -> None:
    image = random_images(2, 100, 80)
    result = preprocess(FRAMINGS["region"], image)
    torch.testing.assert_close(result, resized(image[:, 50:75, 20:], 64, 64), atol=5e-6, rtol=0)


def test_preprocessing_letterbox_keeps_the_aspect_and_pads_with_the_mean() -> None:
    image = random_images(2, 120, 240)
    result = preprocess(FRAMINGS["letterbox"], image)
    assert not result[:, :, :16].any()
    assert not result[:, :, 48:].any()
    torch.testing.assert_close(result[:, :, 16:48], resized(image, 32, 64), atol=5e-6, rtol=0)


def test_preprocessing_tiles_equal_the_resize_of_each() -> None:
    # a reduction by two of tiles that overlap by half: positions are whole pixels
    image = random_images(2, 3 * 32 * 2 // 2, 64)
    framing = Framing((32, 32), tiles=(2, 1), overlap=0.5)
    result = preprocess(framing, image)
    assert result.shape == (4, 3, 32, 32)
    whole = resized(image, 48, 32)
    torch.testing.assert_close(result[0], whole[0, :, :32], atol=5e-6, rtol=0)
    torch.testing.assert_close(result[1], whole[0, :, 16:], atol=5e-6, rtol=0)
    torch.testing.assert_close(result[2], whole[1, :, :32], atol=5e-6, rtol=0)


def test_preprocessing_mask_leaves_only_what_is_looked_at() -> None:
    framing = Framing((32, 32), mask=(2, 2))
    preprocessing = Preprocessing(framing, (0.0,) * 3, (1.0,) * 3)
    preprocessing.mask.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    result = preprocessing(torch.full((1, 90, 70, 3), 255, dtype=torch.uint8))
    assert result[0, :, :16, :16].min() > 0.99
    assert result[0, :, 16:].min() > 0.99
    assert not result[0, :, :16, 16:].any()


class OneConvolution(nn.Module):
    """The smallest backbone, which is exported soonest."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 8, stride=8)

    def forward_intermediates(self, image: Tensor, indices: int) -> tuple[Tensor, list[Tensor]]:
        del indices
        found = torch.relu(self.layer(image))
        return found, [found]


@pytest.mark.parametrize(
    "framing",
    [
        Framing((32, 64), tiles=(2, 3), overlap=0.25),
        Framing((32, 64), "letterbox", (2, 3), 0.25, (0.0, 0.1, 0.5, 0.9), (3, 5)),
    ],
    ids=["tiles", "everything"],
)
def test_export_graph_any_framing_and_size_equals_the_network(framing: Framing) -> None:
    preprocessing = Preprocessing(framing, (0.4,) * 3, (0.3,) * 3)
    if framing.mask:
        preprocessing.mask.copy_(torch.arange(15).reshape(3, 5) % 2)
    network = Network(
        OneConvolution(), preprocessing, stages=0, width=6, class_count=3, accepted=[0]
    ).eval()
    graph = export_graph(network)
    check_arguments(onnx.load_from_string(graph).graph)  # as a reader of the inspector does
    assert {node.op_type for node in onnx.load_from_string(graph).graph.node} <= OPERATORS
    session = onnxruntime.InferenceSession(graph)
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(graph), "CPU", exact)
    for height, width in SIZES:
        image = random_images(3, height, width)
        with torch.no_grad():
            expected = network(torch.from_numpy(image))
        assert len(expected.probability) == 3
        for outputs in (session.run(None, {"image": image}), compiled(image).values()):
            for ours, theirs in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(ours, theirs.numpy(), atol=5e-4)


@pytest.mark.parametrize("name", FRAMINGS)
def test_whole_map_of_equal_maps_is_equal_where_it_is_looked_at(name: str) -> None:
    framing = FRAMINGS[name]
    result = whole_map(torch.ones(2 * framing.tile_count, 1, 2, 3), framing, 500, 400)
    left, top, right, bottom = framing.region
    rows, columns = (np.arange(size) / size for size in result.shape[2:])
    tall, wide = 1 / len(rows), 1 / len(columns)
    inside = ((rows + tall > top) & (rows < bottom))[:, None] & (
        (columns + wide > left) & (columns < right)
    )
    np.testing.assert_allclose(result[0, 0].numpy(), inside.astype(float), atol=1e-5)


def test_whole_map_is_0_where_the_mask_leaves_all_of_a_cell_out() -> None:
    mask = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    framing = Framing((32, 32), mask=(2, 3))
    [[result]] = whole_map(torch.ones(1, 1, 4, 4), framing, 90, 70, mask)
    seen = torch.zeros(4, 4)
    seen[:2, 2:] = 1
    torch.testing.assert_close(result, seen)


@pytest.mark.parametrize("framing", [FRAMINGS["tiles"], FRAMINGS["letterbox"], FRAMINGS["region"]])
def test_whole_map_a_cell_lies_where_its_pixels_are(framing: Framing) -> None:
    """A bright spot of the image is the brightest cell of the map made of the network's input."""
    image = np.zeros((1, 300, 420, 3), np.uint8)
    image[0, 180:190, 330:340] = 255
    seen = preprocess(framing, image).mean(1, keepdim=True)
    seen = functional.avg_pool2d(seen, 8)
    found = whole_map(seen, framing, 300, 420)[0, 0]
    row, column = divmod(int(found.argmax()), found.shape[1])
    cell = 300 / found.shape[0], 420 / found.shape[1]
    assert abs((row + 0.5) * cell[0] - 185) <= cell[0]
    assert abs((column + 0.5) * cell[1] - 335) <= cell[1]


@pytest.mark.parametrize(
    ("framing", "size", "useful"),
    [
        (Framing((64, 96)), (300, 100), (128, 100)),
        (Framing((64, 64)), (40, 128), (40, 128)),
        (Framing((64, 64), "letterbox"), (400, 800), (64, 128)),
        (Framing((64, 64), "letterbox"), (128, 20), (128, 20)),
        (Framing((50, 50), tiles=(2, 1)), (1000, 1000), (200, 100)),
        (Framing((50, 50), tiles=(2, 1), overlap=0.2), (1000, 1000), (180, 100)),
        (Framing((50, 50), region=(0.0, 0.5, 0.25, 1.0)), (1000, 1000), (200, 400)),
    ],
)
def test_useful_size_has_two_lines_for_each_of_the_network(
    framing: Framing, size: tuple[int, int], useful: tuple[int, int]
) -> None:
    assert framing.useful_size(*size) == useful


def test_tile_lengths_cover_the_image_from_edge_to_edge() -> None:
    framing = Framing((32, 32), tiles=(1, 4), overlap=0.25)
    image = np.zeros((1, 8, 1000, 3), np.uint8)
    image[:, :, :2] = image[:, :, -2:] = 255
    tile = preprocess(framing, image)
    assert tile.shape[0] == 4
    assert tile[0, 0, :, 0].min() > 0.1
    assert tile[3, 0, :, -1].min() > 0.1
    assert tile_lengths(4, 0.25) == 3.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": [64]}, "input_size"),
        ({"input_size": [64, 65]}, r"\[64, 65\]"),
        ({"input_size": "wide"}, "got wide"),
        ({"tiles": [3]}, "rows and columns"),
        ({"tiles": [17, 17]}, "256 tiles"),
        ({"tile_overlap": 0.6}, "tile_overlap"),
        ({"fit": "crop"}, "model.fit"),
        ({"tiles": [2, 2], "tile_size": 500}, "leave one of them out"),
    ],
)
def test_model_config_framing_out_of_range_is_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_config(**settings)


@pytest.mark.parametrize("region", [(0.5, 0, 0.5, 1), (0, 0.9, 1, 0.1), (-0.1, 0, 1, 1)])
def test_framing_region_without_inside_is_refused(region: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="left before right"):
        Framing((32, 32), region=region)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(3000, 4000), (1000, 1000), (999, 1001), (10, 7000)])
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.5])
def test_tile_size_makes_tiles_of_about_that_size(size: tuple[int, int], overlap: float) -> None:
    model = tiny_config(tile_size=1000, tile_overlap=overlap).for_images(*size)
    for side, tiles in zip(size, model.tiles, strict=True):
        assert side / tile_lengths(tiles, overlap) <= 1000
        assert tiles == 1 or side / tile_lengths(tiles - 1, overlap) > 1000


def test_tile_size_too_small_for_the_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="34 × 45 tiles, more than 256"):
        tiny_config(tile_size=100).for_images(3000, 4000)
