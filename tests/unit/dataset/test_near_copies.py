import io
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy import ndimage

from sihwa.dataset import NeuDetConfig, near_copies
from sihwa.dataset.near_copies import (
    SIMILAR_SCORE,
    NearCopies,
    find_near_copies,
    make_thumbnail,
    near_copy_groups,
    similar_groups,
)
from sihwa.dataset.neu_det import find_neu_det
from sihwa.errors import ShapeError
from sihwa.images import read_image
from tests.helpers import neu_det

SIDE = 160


def textures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return images of one kind of texture, (count, SIDE, SIDE, 3)."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 1.5), mode="wrap")
    grey = np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def thumbnails(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack([make_thumbnail(image) for image in images])


def resized(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.BICUBIC)


def as_jpeg(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return Image.open(stream)


def exposed(image: Image.Image) -> Image.Image:
    light = np.linspace(0.8, 1.1, SIDE)[:, None, None]
    noise = np.random.default_rng(1).normal(0, 3, (SIDE, SIDE, 1))
    pixels = 255 * (np.asarray(image) / 255) ** 1.3 * light + noise
    return Image.fromarray(np.clip(np.roll(pixels, 4, axis=1), 0, 255).astype(np.uint8))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "saved again": as_jpeg,
    "smaller": lambda image: resized(image, SIDE // 2),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "shifted": lambda image: Image.fromarray(np.roll(np.asarray(image), (4, -5), (0, 1))),
    "cropped": lambda image: resized(image.crop((0, 3, 152, 155)), SIDE),
    "exposed": exposed,
}


def copied(images: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    return np.stack(
        [make_thumbnail(np.array(COPIES[kind](Image.fromarray(image)))) for image in images]
    )


@pytest.mark.parametrize("kind", COPIES)
def test_find_near_copies_finds_every_planted_copy_and_nothing_else(kind: str) -> None:
    images = textures(30)
    found = find_near_copies(np.concatenate([thumbnails(images), copied(images[:20], kind)]))
    assert found.pairs.tolist() == [[row, row + 30] for row in range(20)]
    assert ((found.score > 0) & (found.score <= 1)).all()


def test_find_near_copies_parts_that_look_alike_are_no_copies() -> None:
    form = textures(1, seed=7).astype(np.float64)
    alike = np.clip(form + 0.3 * (textures(40) - 128.0), 0, 255).astype(np.uint8)
    assert len(find_near_copies(thumbnails(alike)).pairs) == 0
    again = np.concatenate([thumbnails(alike), copied(alike[:10], "saved again")])
    assert find_near_copies(again).pairs.tolist() == [[row, row + 40] for row in range(10)]


def test_find_near_copies_images_without_detail_are_no_copies() -> None:
    grey = np.arange(60, 90, dtype=np.uint8)[:, None, None]
    assert len(find_near_copies(np.tile(grey, (1, 96, 96))).pairs) == 0


def test_find_near_copies_few_images_give_no_pairs() -> None:
    for count in range(6):
        assert len(find_near_copies(thumbnails(textures(8))[:count]).pairs) == 0


def test_find_near_copies_does_not_depend_on_order_or_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.concatenate([thumbnails(textures(20)), copied(textures(20)[:9], "exposed")])
    found = find_near_copies(images, least=0.3)
    order = np.random.default_rng(0).permutation(len(images))
    monkeypatch.setattr(near_copies, "_BLOCK", 7)
    shuffled = find_near_copies(images[order], least=0.3)
    assert len(found.pairs) == 9
    assert {tuple(sorted(order[pair])) for pair in shuffled.pairs} == set(map(tuple, found.pairs))


def test_find_near_copies_compares_blocks_and_never_all_with_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    largest = []
    likeness = near_copies._Reference.likeness

    def watched(self: object, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        result = likeness(self, spectrum)  # type: ignore[arg-type]
        largest.append(result.shape)
        return result

    monkeypatch.setattr(near_copies, "_BLOCK", 16)
    monkeypatch.setattr(near_copies._Reference, "likeness", watched)
    find_near_copies(thumbnails(textures(40)))
    assert set(largest) == {(16, 40), (8, 40)}


@pytest.mark.parametrize("shape", [(9, 64, 64), (9, 96), (9, 96, 96, 1)])
def test_find_near_copies_other_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="expected thumbnails"):
        find_near_copies(np.zeros(shape, np.uint8))


def test_make_thumbnail_means_areas() -> None:
    image = np.zeros((192, 192, 3), np.uint8)
    image[:, 1::2] = 200
    assert np.unique(make_thumbnail(image)).tolist() == [100]


def chain(count: int, score: float) -> NearCopies:
    rows = np.arange(count - 1)
    return NearCopies(np.stack([rows, rows + 1], axis=1), np.full(count - 1, score, np.float32))


def test_groups_of_a_chain_do_not_join_a_whole_class() -> None:
    for group in (near_copy_groups(chain(200, 0.9), 200), similar_groups(chain(200, 0.9), 200)):
        assert np.bincount(group).max() == 1


def test_near_copy_groups_do_not_join_more_than_32_images() -> None:
    cliques = [np.stack(np.triu_indices(20, 1), axis=1) + first for first in (0, 20)]
    pairs = np.concatenate([*cliques, [[0, 20]]])
    score = np.full(len(pairs), 0.95, np.float32)
    score[-1] = 0.7
    group = near_copy_groups(NearCopies(pairs, score), 40)
    assert group.tolist() == [0] * 20 + [20] * 20


def test_groups_of_equal_parts_at_every_angle_are_few() -> None:
    rng = np.random.default_rng(0)
    part = textures(1)[0, ..., 0].astype(np.float64)
    turned = [
        ndimage.rotate(part, angle, reshape=False, mode="nearest") + rng.normal(0, 4, part.shape)
        for angle in rng.uniform(-30, 30, 80)
    ]
    images = np.clip(turned, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=3)
    found = find_near_copies(thumbnails(images), least=SIMILAR_SCORE)
    assert len(found.pairs) > 80
    assert (near_copy_groups(found, 80) != np.arange(80)).sum() < 8


def test_find_near_copies_names_a_known_pair_of_neu_det() -> None:
    source = find_neu_det(NeuDetConfig(name="NEU-DET", root=str(neu_det())))
    paths = [item.path for item in source.items if item.label == "patches"][:60]
    found = find_near_copies(thumbnails([read_image(path) for path in paths]))
    names = [{paths[row].rpartition("/")[2] for row in pair} for pair in found.pairs]
    assert {"patches_101.jpg", "patches_105.jpg"} in names


def test_near_copy_groups_leave_out_weak_matches_that_similar_groups_use() -> None:
    found = chain(4, 0.5)
    assert near_copy_groups(found, 4).tolist() == [0, 1, 2, 3]
    assert similar_groups(found, 4).tolist() == [0, 0, 0, 0]


def test_similar_groups_leave_out_matches_far_below_the_best_of_both() -> None:
    pairs = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    found = NearCopies(pairs, np.array([0.9, 0.7, 0.9, 0.35], np.float32))
    assert similar_groups(found, 6).tolist() == [0, 0, 2, 2, 4, 4]
