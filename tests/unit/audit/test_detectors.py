"""Each fault is planted and found; a clean data set has none of them."""

import re
from pathlib import Path

import numpy as np
import pytest

from sihwa.audit import Finding, Inventory, audit, find_similar_parts, worst_first
from sihwa.audit.identical_images import find_identical, find_near_identical
from sihwa.audit.odd_images import find_odd_images
from sihwa.audit.shortcuts import find_shortcuts, predict_by
from sihwa.audit.split_check import find_cut_groups, find_differing_splits, measure_shift
from sihwa.audit.too_few import find_too_few
from sihwa.dataset import SplitConfig, TabularConfig, assign_splits, read_as_given
from sihwa.dataset.item import Item
from sihwa.errors import DatasetError
from sihwa.evaluation import KnownGroups, Proposal, Similarity, check_similarity
from tests.helpers import neu_det
from tests.unit.audit.made import (
    kinds,
    made_embedding,
    made_facts,
    made_inventory,
    made_labels,
    only,
    varied_facts,
)


@pytest.mark.parametrize("seed", range(3))
def test_audit_clean_data_set_is_not_severe(seed: int) -> None:
    label = made_labels(180)
    split = np.random.default_rng(seed).permutation(["train"] * 100 + ["test"] * 80).tolist()
    inventory = made_inventory(label, varied_facts(180, seed), split=split)
    findings = audit(inventory, made_embedding(label, seed=seed), test_share=0.2, seed=seed)
    assert {one.severity for one in findings} <= {"note", "warning"}
    assert kinds(findings) <= {"little can be proven"}


def test_audit_does_not_depend_on_how_often_it_is_asked() -> None:
    label = made_labels(90)
    inventory = made_inventory(label, split=["train", "test", "test"] * 30)
    first, second = (
        audit(inventory, made_embedding(label, distance=1), test_share=0.2, seed=0)
        for _ in range(2)
    )
    assert first == second
    assert first == worst_first(reversed(first))


def test_worst_first_severity_comes_before_the_figure() -> None:
    made = [
        Finding(kind=severity, severity=severity, message="m", advice="a", figure=figure)
        for severity, figure in [("note", 9.0), ("severe", None), ("warning", 2.0), ("severe", 0.5)]
    ]
    order = [(one.severity, one.figure) for one in worst_first(made)]
    assert order == [("severe", 0.5), ("severe", None), ("warning", 2.0), ("note", 9.0)]


def test_find_identical_lists_all_label_conflicts_in_one_finding() -> None:
    label = ["good", "scratch", "good", "dent", "good", "good"]
    inventory = made_inventory(label, sha256=["a", "a", "b", "b", "c", "c"])
    findings = list(find_identical(inventory))
    conflict = only(findings, "identical images, two labels")
    assert conflict.severity == "severe"
    assert [one.place for one in conflict.images] == [0, 0, 1, 1]
    assert [one.path[-8:] for one in conflict.images] == [f"000{n}.jpg" for n in range(4)]
    assert all(one.exclude for one in conflict.images)
    copies = only(findings, "identical images")
    assert [(one.label, one.exclude) for one in copies.images] == [("good", False), ("good", True)]


def test_find_identical_across_splits_is_severe() -> None:
    inventory = made_inventory(
        ["good", "good", "dent"], sha256=["a", "a", "b"], split=["train", "test", "train"]
    )
    across = only(list(find_identical(inventory)), "identical images, two splits")
    assert across.severity == "severe"
    assert [one.note for one in across.images] == ["split train", "split test"]


def test_find_near_identical_tells_labels_splits_and_copies() -> None:
    inventory = made_inventory(
        ["good", "dent", "good", "good", "dent", "dent", "good"],
        copy_of=["p", "p", "q", "q", "r", "r", None],
        split=["train", "train", "train", "test", "train", "train", "test"],
    )
    found = {one.kind: one for one in find_near_identical(inventory)}
    rows = {kind: [int(mark.path[-5]) for mark in one.images] for kind, one in found.items()}
    assert rows == {
        "near-identical images, two labels": [0, 1],
        "near-identical images, two splits": [2, 3],
        "near-identical images": [4, 5],
    }
    assert [one.severity for one in found.values()] == ["warning", "severe", "note"]
    # which of two labels is right nobody knows, and the difference may be the defect
    assert [[mark.exclude for mark in one.images] for one in found.values()] == [
        [False, False], [False, True], [False, True]
    ]  # fmt: skip


def test_find_near_identical_leaves_bytes_to_the_other_detector() -> None:
    inventory = made_inventory(
        ["good"] * 4, sha256=["a", "a", "b", "b"], copy_of=["a", "a", "b", "b"]
    )
    assert not list(find_near_identical(inventory))
    inventory = made_inventory(
        ["good"] * 3,
        sha256=["a", "a", "b"],
        copy_of=["a", "a", "a"],
        split=["train", "test", "test"],
    )
    (found,) = find_near_identical(inventory)
    assert [one.path[-5] for one in found.images] == ["0", "1", "2"]


def test_find_too_few_counts_components_and_states_the_bound() -> None:
    label = ["good"] * 400 + ["scratch"] * 300 + ["dent"] * 12
    group = [None] * 700 + ["one", "one", "one", "one"] * 3
    findings = list(find_too_few(made_inventory(label, group=group), 0.2))
    assert "dent (1)" in only(findings, "too few to split").message
    assert only(findings, "too few to test").severity == "warning"
    # scratch has 60 test images, dent none
    proven = only(findings, "little can be proven")
    assert proven.figure == pytest.approx(1 - 0.05 ** (1 / 60))
    assert proven.advice == "To prove 1 % takes 299 of them"


@pytest.mark.parametrize(
    ("defects", "text"),
    [
        (0, "no independent test image of defects"),
        (1, "1 independent test image of defects only proves that escapes are at most 95.0 %"),
        (3, "3 independent test images of defects only prove that escapes are at most 63.2 %"),
    ],
)
def test_find_too_few_states_the_exact_bound(defects: int, text: str) -> None:
    label = ["good"] * 9 + ["dent"] * (3 + defects)
    split = ["train"] * 6 + ["test"] * 3 + ["train"] * 3 + ["test"] * defects
    findings = list(find_too_few(made_inventory(label, split=split), 0.2))
    assert text in only(findings, "little can be proven").message


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("others", [3, 20])
def test_find_too_few_is_severe_where_a_run_refuses(count: int, others: int) -> None:
    label = ["dent"] * count + ["good"] * others
    inventory = made_inventory(label)
    findings = list(find_too_few(inventory, 0.2))
    items = [Item(path, name) for path, name in zip(inventory.path, label, strict=True)]
    try:
        split = assign_splits(items, inventory.manifest.component, SplitConfig(), seed=0)
    except DatasetError:
        assert only(findings, "too few to split").severity == "severe"
    else:
        assert "too few to split" not in kinds(findings)
        tested = split[:count].count("test")
        assert f"dent ({tested})" in only(findings, "too few to test").message


def test_find_too_few_uses_the_given_test() -> None:
    split = (["test"] + ["train"] * 3) * 75
    findings = list(find_too_few(made_inventory(["good", "dent"] * 150, split=split), 0.2))
    assert kinds(findings) == {"too few to test", "little can be proven"}
    assert "dent (0)" in only(findings, "too few to test").message


def test_find_odd_images_names_each_planted_fault() -> None:
    facts = varied_facts(120)
    planted = {
        3: made_facts(contrast=0.0),
        7: made_facts(mean=(250.0, 250.0, 250.0), bright=0.9),
        11: made_facts(mean=(2.0, 2.0, 2.0), dark=0.9),
        15: made_facts(sharpness=2.0),
        19: made_facts(width=201),
        23: made_facts(mode="RGB"),
        27: made_facts(mode="I;16", bits=16),
    }
    for row, one in planted.items():
        facts[row] = one
    findings = list(find_odd_images(made_inventory(made_labels(120), facts)))
    found = {one.kind: [int(mark.path[-8:-4]) for mark in one.images] for one in findings}
    assert found == {
        "single colour": [3],
        "over-exposed": [7],
        "under-exposed": [11],
        "blurred": [15],
        "odd size": [19],
        "odd stored form": [23, 27],
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("image size", {"width": 640}, id="size"),
        pytest.param("file type", {"format": "PNG"}, id="type"),
        pytest.param("camera", {"camera": "ACME 2"}, id="camera"),
    ],
)
def test_find_shortcuts_of_the_acquisition_are_severe(name: str, change: dict[str, object]) -> None:
    label = made_labels(120)
    facts = [made_facts(**change) if one == "dent" else made_facts() for one in label]
    (found,) = find_shortcuts(made_inventory(label, facts), seed=0)
    assert name in found.message
    # one of three classes is told apart, the other two are guessed
    assert found.figure == pytest.approx(2 / 3)
    assert found.severity == "severe"


@pytest.mark.parametrize("change", ["mean", "border", "noise"])
def test_find_shortcuts_that_may_be_the_part_are_warnings_at_most(change: str) -> None:
    label = ["good", "dent"] * 60
    value = {"mean": (60.0, 60.0, 90.0), "border": 30.0, "noise": 9.0}[change]
    facts = [made_facts(**{change: value}) if one == "dent" else made_facts() for one in label]
    findings = list(find_shortcuts(made_inventory(label, facts), seed=0))
    assert findings
    assert {one.severity for one in findings} == {"warning"}
    assert all("may belong to the defect" in one.advice for one in findings)


def test_find_shortcuts_folder_of_the_day_but_not_that_of_the_class() -> None:
    label = ["good", "dent"] * 60
    days = [f"/parts/{one}/{'may' if one == 'dent' else 'june'}/{n}.jpg"
            for n, one in enumerate(label)]  # fmt: skip
    (found,) = find_shortcuts(made_inventory(label, [made_facts()] * 120, path=days), seed=0)
    assert "folder:1 (such as" in found.message
    assert found.figure == 1
    mixed = [f"/parts/{one}/{n % 4 // 2}/{n}.jpg" for n, one in enumerate(label)]
    assert not list(find_shortcuts(made_inventory(label, [made_facts()] * 120, path=mixed), seed=0))


@pytest.mark.parametrize(
    ("place", "severity"),
    [
        ("{code}/{row}", "note"),  # GC10-DET: the number of the class
        ("part{part}/{row}", "note"),
        ("{label}/part{part}/{row}", "note"),
        ("{split}/{label}/{row}", None),  # MVTec: only the test has defects
        ("day{code}/{label}/{row}", "severe"),
    ],
    ids=["class by number", "part", "part below its class", "split", "day"],
)
def test_find_shortcuts_folders_of_class_part_and_split_are_not_severe(
    place: str, severity: str | None
) -> None:
    label = ["good", "dent"] * 60
    path = [
        "/parts/" + place.format(
            code=1 + (one == "dent"), part=row // 12 * 2 + (one == "dent"), row=row, label=one,
            split="test" if one == "dent" else "train",
        ) + ".jpg"
        for row, one in enumerate(label)
    ]  # fmt: skip
    found = list(find_shortcuts(made_inventory(label, [made_facts()] * 120, path=path), seed=0))
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_find_shortcuts_of_one_light_are_one_finding() -> None:
    label = ["good", "dent"] * 60
    dark = made_facts(mean=(60.0, 60.0, 90.0), border=30.0, noise=9.0)
    facts = [dark if one == "dent" else made_facts() for one in label]
    (found,) = find_shortcuts(made_inventory(label, facts), seed=0)
    assert "so does each of: " in found.message
    assert all(f"{name} (100.0 %)" in found.message for name in ("colour", "border", "brightness"))


def test_find_shortcuts_cue_that_names_the_group_is_not_found() -> None:
    """A size per group goes with the class, but says nothing of other groups."""
    label = [one for one in made_labels(40) for _ in range(4)]
    group = [str(row // 4) for row in range(160)]
    facts = [made_facts(width=100 + row // 4) for row in range(160)]
    assert not list(find_shortcuts(made_inventory(label, facts, group=group), seed=0))
    found = list(find_shortcuts(made_inventory(label, facts), seed=0))
    assert "image size" in found[0].message


def test_find_shortcuts_figure_holds_for_other_groups() -> None:
    """Half of the groups have a camera of their class, the others one of their own."""
    label = [("good", "dent")[row // 4 % 2] for row in range(160)]
    facts = [
        made_facts(camera=f"{label[row]}" if row < 80 else f"camera {row // 4}")
        for row in range(160)
    ]
    group = [str(row // 4) for row in range(160)]
    (found,) = find_shortcuts(made_inventory(label, facts, group=group), seed=0)
    assert found.figure == pytest.approx(0.75)


def test_predict_by_random_code_is_at_chance(rng: np.random.Generator) -> None:
    code, label = rng.integers(0, 5, (3000, 2)), rng.integers(0, 3, 3000)
    assert predict_by(code, label, np.arange(3000) % 10) == pytest.approx(1 / 3, abs=0.03)


def test_predict_by_code_of_each_image_is_at_chance() -> None:
    """What names an image tells nothing of others, so it may not count for itself."""
    label = np.arange(300) % 3
    assert predict_by(np.arange(300)[:, None], label, np.arange(300) % 10) == pytest.approx(1 / 3)


def test_find_cut_groups_names_the_group() -> None:
    inventory = made_inventory(
        ["good"] * 4,
        group=["left", "left", "right", "right"],
        split=["train", "test"] + ["test"] * 2,
    )
    (found,) = find_cut_groups(inventory)
    assert (found.severity, found.figure) == ("severe", 0.5)
    assert "left" in found.message
    assert [one.path[-5] for one in found.images] == ["0", "1"]


def test_find_differing_splits_tells_in_what(rng: np.random.Generator) -> None:
    label = made_labels(240)
    split = rng.permutation(["train"] * 140 + ["test"] * 100).tolist()
    facts = [
        made_facts(mean=(grey := rng.normal(150 if one == "test" else 120, 20), grey, grey))
        for one in split
    ]
    embedding = made_embedding(label)
    inventory = made_inventory(label, facts, split=split)
    (found,) = find_differing_splits(inventory, embedding, seed=0)
    assert "brightness" in found.message
    assert found.figure == pytest.approx(
        1.2, abs=0.3
    )  # 30 / 20, in deviations around the mean of both
    embedding[np.array(split) == "test", 5] += 3
    (both,) = find_differing_splits(inventory, embedding, seed=0)  # one cause, one line
    assert re.search("brightness 1.*, content .* 0|content .*, brightness 1", both.message)


def test_measure_shift_is_in_deviations_within_the_classes(rng: np.random.Generator) -> None:
    label, is_test = np.arange(600) % 3, np.arange(600) % 2 == 0
    feature = rng.normal(size=(600, 1)) + 50.0 * label[:, None] + 2.0 * is_test[:, None]
    shift, p_value = measure_shift(feature, label, is_test, np.arange(600), seed=0)
    assert shift == pytest.approx(2 / np.sqrt(1 + 1), rel=0.05)  # ±1 around the mean adds 1
    assert p_value == pytest.approx(1 / 200)


def test_measure_shift_of_random_splits_is_small_whatever_the_number_of_features(
    rng: np.random.Generator,
) -> None:
    label, is_test = np.zeros(40, int), np.arange(40) % 2 == 0
    found = [
        measure_shift(rng.normal(size=(40, 16)), label, is_test, np.arange(40), seed=0)
        for _ in range(10)
    ]
    assert np.mean([shift for shift, _ in found]) < 0.4


def test_find_differing_splits_more_of_one_class_is_no_difference(rng: np.random.Generator) -> None:
    label = ["good"] * 150 + ["dent"] * 50
    split = (
        rng.permutation(["train"] * 100 + ["test"] * 50).tolist() + ["train"] * 10 + ["test"] * 40
    )
    facts = [made_facts(sharpness=one) for one in [10.0] * 150 + [40.0] * 50]
    inventory = made_inventory(label, facts, split=split)
    assert not list(find_differing_splits(inventory, made_embedding(label), seed=0))


def test_find_similar_parts_shows_some_parts_and_the_setting() -> None:
    rng = np.random.default_rng(0)
    label = [name for name in ("good", "scratch") for _ in range(60) for _ in range(4)]
    path = [f"/parts/part{row // 4:03d}_view{row % 4}.jpg" for row in range(480)]
    inventory = made_inventory(label, path=path)
    part = rng.normal(size=(120, 30)).repeat(4, axis=0)
    embedding = (part + 0.1 * rng.normal(size=part.shape)).astype(np.float32)
    similarity = check_similarity(embedding, inventory.manifest, 0)
    several, rests = worst_first(find_similar_parts(inventory, similarity))
    assert (several.severity, rests.severity) == ("severe", "warning")
    assert "120 parts" in several.message
    assert "dataset.group=pattern:part" in several.advice
    assert [one.path for one in several.images if one.place == 1] == path[4:8]
    assert not any(one.exclude for one in several.images)


def test_find_similar_parts_names_given_splits_and_draws_anew() -> None:
    label = made_labels(60)
    inventory = made_inventory(label, split=["train", "test"] * 30)
    proposal = Proposal("every:2", groups=30, images=60, explained=0.9, p_value=0.005)
    (found,) = find_similar_parts(inventory, Similarity(None, proposal, None, cut=30))
    assert "the given splits (test and train) divide 30 of them" in found.message
    assert found.advice == 'Train with "dataset.group=every:2" dataset.split.given=ignore'


def test_find_similar_parts_of_some_groups_says_to_name_both() -> None:
    label = made_labels(60)
    inventory = made_inventory(label, group=["a"] * 6 + [None] * 54)
    proposal = Proposal("every:2", groups=27, images=54, explained=0.9, p_value=0.005)
    similarity = Similarity(None, proposal, None, known=KnownGroups(6, 60))
    found = only(list(find_similar_parts(inventory, similarity)), "several images per part")
    assert "name both, as in pattern:ONE|OTHER" in found.advice


def test_find_too_few_of_groups_that_join_a_class_asks_for_smaller_ones() -> None:
    label = ["good", "dent"] * 20
    findings = list(find_too_few(made_inventory(label, group=label), 0.2))
    assert "smaller groups than these 2" in only(findings, "too few to split").advice


def test_find_similar_parts_counts_the_images_without_a_group() -> None:
    label = made_labels(240)
    group = [f"part {row % 20}" if row < 60 else None for row in range(240)]
    inventory = made_inventory(label, group=group)
    similarity = check_similarity(made_embedding(label, distance=6), inventory.manifest, 0)
    (found,) = find_similar_parts(inventory, similarity)
    assert found.message.startswith("60 of 240 images have a group")
    assert len(found.images) == 180


def test_find_similar_parts_of_independent_images_finds_nothing() -> None:
    label = made_labels(300)
    inventory = made_inventory(label)
    similarity = check_similarity(made_embedding(label, distance=6), inventory.manifest, 0)
    assert list(find_similar_parts(inventory, similarity)) == []


def test_find_identical_names_the_known_pair_of_neu_det(tmp_path: Path) -> None:
    names = [f"{kind}_{n}.jpg" for kind in ("patches", "crazing") for n in range(100, 110)]
    table = tmp_path / "some.csv"
    lines = [f"{neu_det()}!/NEU-DET/IMAGES/{one},{one.partition('_')[0]}" for one in names]
    table.write_text("\n".join(["path,label", *lines]))
    manifest = read_as_given(TabularConfig(name="some", path=str(table)))
    findings = list(find_identical(Inventory(manifest, varied_facts(20))))
    pair = [one.path.rpartition("/")[2] for one in only(findings, "identical images").images]
    assert pair == ["patches_101.jpg", "patches_105.jpg"]
