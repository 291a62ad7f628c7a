import numpy as np
import pytest
import torch
from torch.nn import functional

from sihwa.model import Framing, Preprocessing

SIZES = [(200, 200), (300, 260), (37, 51), (1, 1), (1, 900), (900, 1), (224, 224), (1200, 1600)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_preprocessing_any_size_equals_antialiased_resize(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    result = Preprocessing(Framing((224, 224)), mean, std)(torch.from_numpy(image))

    plain = torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255
    resized = functional.interpolate(plain, (224, 224), mode="bilinear", antialias=True)
    expected = (resized - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(result, expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("size", [32, 224, 480])
def test_preprocessing_every_ratio_equals_antialiased_resize(size: int) -> None:
    random = np.random.default_rng(0)
    for length in [*range(1, 40), *range(40, 1200, 17), size - 1, size, size + 1, 5000]:
        line = random.integers(0, 256, (1, length, 1, 3), dtype=np.uint8)
        result = Preprocessing(Framing((size, size)), (0.0,) * 3, (1.0,) * 3)(
            torch.from_numpy(line)
        )
        plain = torch.from_numpy(line).permute(0, 3, 1, 2).double() / 255
        expected = functional.interpolate(plain, (size, size), mode="bilinear", antialias=True)
        torch.testing.assert_close(result.double(), expected, atol=5e-5, rtol=0)  # a 78th of a grey


def test_preprocessing_edge_defect_stays_visible() -> None:
    image = torch.zeros((1, 448, 448, 3), dtype=torch.uint8)
    image[:, :, -1] = 255
    result = Preprocessing(Framing((224, 224)), (0.0,) * 3, (1.0,) * 3)(image)
    assert result[0, 0, :, -1].min() > 0.3
