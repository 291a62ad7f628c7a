import numpy as np
import pytest

from sihwa.dataset.group_candidates import name_settings
from sihwa.dataset.groups import groups_of
from sihwa.dataset.item import Item
from sihwa.evaluation.group_proposal import Proposal, propose_groups

PARTS, IMAGES = 60, 6


def propose(paths: list[str], nearest: np.ndarray) -> Proposal | None:
    items = [Item(path, "good") for path in paths]
    candidates = {setting: groups_of(setting, items) for setting in name_settings(paths)}
    return propose_groups(
        candidates, [range(len(paths))], np.zeros(len(paths), int), nearest, seed=0
    )


def within_part(rng: np.random.Generator) -> np.ndarray:
    """Return a nearest neighbour for each image, nine in ten of them of the same part."""
    part = np.repeat(np.arange(PARTS), IMAGES)
    other = part * IMAGES + (np.arange(PARTS * IMAGES) + rng.integers(1, IMAGES)) % IMAGES
    return np.where(rng.random(len(part)) < 0.9, other, rng.integers(0, len(part), len(part)))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("p{part:03}_e{image}.png", r"pattern:p(\d+)_e\d+[.]"),
        ("e{image}_p{part:03}.png", r"pattern:e\d+_p(\d+)[.]"),
        ("img{number:05}.png", "every:6"),
        ("{spread:05}.png", "gap:10"),
        ("part {part}/view {image}.png", "folder:1"),
    ],
)
def test_propose_groups_names_that_tell_the_part_give_its_setting(name: str, setting: str) -> None:
    paths = [
        name.format(part=part, image=image, number=part * 6 + image, spread=part * 20 + image)
        for part in range(PARTS)
        for image in range(IMAGES)
    ]
    found = propose(paths, within_part(np.random.default_rng(0)))
    assert found is not None
    assert found.setting == setting
    assert (found.groups, found.images) == (PARTS, PARTS * IMAGES)
    assert found.explained == pytest.approx(0.9, abs=0.05)


def test_propose_groups_of_one_row_over_given_splits_are_found() -> None:
    rng = np.random.default_rng(0)
    count = PARTS * IMAGES
    paths = [f"{rng.choice(['train', 'test'])}/good/{row:05}.png" for row in range(count)]
    found = propose(paths, within_part(rng))
    assert found is not None
    assert (found.setting, found.groups) == ("every:6", PARTS)


def test_propose_groups_independent_images_give_none() -> None:
    rng = np.random.default_rng(0)
    paths = [f"p{part:03}_e{image}.png" for part in range(PARTS) for image in range(IMAGES)]
    assert propose(paths, rng.permutation(len(paths))) is None


def test_propose_groups_successive_images_that_are_alike_give_none() -> None:
    rng = np.random.default_rng(0)
    rows = np.arange(400)
    nearest = np.clip(rows + rng.choice([-3, -2, -1, 1, 2, 3], 400), 0, 399)
    assert propose([f"{row:04}.png" for row in rows], nearest) is None


def test_propose_groups_small_class_does_not_forbid_a_proposal() -> None:
    paths = [f"p{part:03}_e{image}.png" for part in range(PARTS) for image in range(IMAGES)]
    label = np.zeros(len(paths), int)
    label[[0, IMAGES]] = 1  # two images of two parts
    items = [Item(path, "good") for path in paths]
    candidates = {"by part": groups_of(r"pattern:p(\d+)", items)}
    nearest = within_part(np.random.default_rng(0))
    assert propose_groups(candidates, [range(len(paths))], label, nearest, seed=0) is not None
