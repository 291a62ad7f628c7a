import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sihwa.dataset import (
    ElpvConfig,
    ImageFolderConfig,
    Manifest,
    SplitConfig,
    TabularConfig,
    read_as_given,
    read_dataset,
    read_manifest,
)
from sihwa.errors import ConfigError, DatasetError, UnreadableImage
from sihwa.images import read_image
from sihwa.storage import sha256_of_file
from tests.helpers import random_images, save_images


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "부품"
    save_images(root / "good", random_images(10, 20, 30, seed=1))
    save_images(root / "긁힘", random_images(8, 15, 12, seed=2))
    return root


def read(root: Path, seed: int = 0, **settings: object) -> Manifest:
    config = ImageFolderConfig(name="parts", root=str(root), accept_classes=["good"])
    for name, value in settings.items():
        setattr(config, name, value)
    return read_dataset(config, seed)


def test_read_dataset_holds_size_and_content_of_each_image(parts: Path) -> None:
    manifest = read(parts)
    for row in manifest.table.to_pylist():
        assert row["sha256"] == sha256_of_file(Path(row["path"]))
        assert (row["width"], row["height"]) == ((30, 20) if row["label"] == "good" else (12, 15))
    assert manifest.classes == ("good", "긁힘")
    assert manifest.counts == {
        "good": {"train": 6, "calibration": 2, "test": 2},
        "긁힘": {"train": 5, "calibration": 1, "test": 2},
    }


def test_manifest_fingerprint_depends_on_content_not_on_place(parts: Path) -> None:
    before = read(parts)
    moved = parts.rename(parts.with_name("moved"))
    assert read(moved).fingerprint == before.fingerprint
    assert read(moved, seed=1).fingerprint != before.fingerprint
    (moved / "good" / "000.png").rename(moved / "긁힘" / "100.png")
    assert read(moved).fingerprint != before.fingerprint


def test_manifest_read_image_refuses_a_changed_or_missing_file(parts: Path) -> None:
    manifest = read(parts)
    path = Path(manifest.table["path"][3].as_py())
    assert (manifest.read_image(3) == read_image(str(path))).all()
    path.write_bytes((parts / "긁힘" / "000.png").read_bytes())
    with pytest.raises(UnreadableImage, match="changed since the run began"):
        manifest.read_image(3)
    path.unlink()
    with pytest.raises(UnreadableImage, match="No such file or directory, but the run began with"):
        manifest.read_image(3)


def test_manifest_written_and_read_is_the_same(parts: Path, tmp_path: Path) -> None:
    (parts / "good" / "bad.png").write_bytes(b"")
    manifest = read(parts, on_unreadable="drop")
    manifest.write(tmp_path / "manifest.parquet")
    again = read_manifest(tmp_path / "manifest.parquet")
    assert again.table.equals(manifest.table)
    assert again.fingerprint == manifest.fingerprint
    assert (again.name, again.accept_classes) == ("parts", ("good",))
    assert [str(image) for image in again.dropped] == [f"{parts}/good/bad.png: empty file"]


def _with_column(manifest: Manifest, name: str, value: object) -> Manifest:
    """Return the manifest with another value in a column's first row."""
    values = [value, *manifest.table[name].to_pylist()[1:]]
    place = manifest.table.schema.get_field_index(name)
    return replace(manifest, table=manifest.table.set_column(place, name, pa.array(values)))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: replace(m, classes=(*m.classes, "third")),
        lambda m: replace(m, classes=("good", "긁힘", "good")),
        lambda m: replace(m, accept_classes=("other",)),
        lambda m: replace(m, name=["x"]),
        lambda m: m.take([]),
        lambda m: m.with_split(["train"] * 18),
        lambda m: _with_column(m, "path", None),
        lambda m: replace(m, table=m.table.drop_columns(["group"])),
    ],
    ids=["unused", "class twice", "accepted", "name", "no rows", "one split", "no path", "column"],
)
def test_read_manifest_not_written_by_a_run_is_refused(
    parts: Path, tmp_path: Path, change: Callable[[Manifest], Manifest]
) -> None:
    path = tmp_path / "manifest.parquet"
    change(read(parts)).write(path)
    with pytest.raises(DatasetError, match=r"not a manifest\.parquet written by a run"):
        read_manifest(path)


def test_read_manifest_changed_file_is_refused(parts: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    read(parts).write(path)
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(DatasetError, match="its rows were changed"):
        read_manifest(path)
    facts = json.loads(table.schema.metadata[b"sihwa"])
    del facts["fingerprint"]
    for metadata in (None, {b"sihwa": json.dumps(facts)}, {b"sihwa": b"[" * 200_000}):
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with pytest.raises(DatasetError, match=r"not a manifest\.parquet written by a run"):
            read_manifest(path)
    path.unlink()
    with pytest.raises(DatasetError, match="no manifest at"):
        read_manifest(path)


def test_read_dataset_manifest_of_a_run_is_a_table(parts: Path, tmp_path: Path) -> None:
    manifest = read(parts)
    path = tmp_path / "manifest.parquet"
    manifest.write(path)
    config = TabularConfig(name="again", path=str(path), accept_classes=["good"])
    assert read_dataset(config, seed=9).fingerprint == manifest.fingerprint


def test_read_dataset_lists_all_unreadable_images(parts: Path) -> None:
    (parts / "good" / "a.png").write_bytes(b"")
    (parts / "긁힘" / "b.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"2 of 20 .*=drop: [^\n]*a\.png: .*; .*b\.png: "):
        read(parts)


def test_read_dataset_fewer_than_two_classes_are_refused(parts: Path) -> None:
    for path in (parts / "긁힘").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"at least two classes, got 1 \(good\)"):
        read(parts, on_unreadable="drop")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["ok"], "no class 'ok'; classes: good, 긁힘"), (["good", "긁힘"], "every class would pass")],
)
def test_read_dataset_wrong_accept_classes_are_refused(
    parts: Path, names: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(parts, accept_classes=names)


def test_read_dataset_without_accept_classes_gives_a_note(parts: Path) -> None:
    manifest = read(parts, accept_classes=[])
    assert manifest.accept_classes == ()
    assert "every image counts as a defect" in manifest.notes[0]


def test_read_dataset_elpv_keeps_the_cell_type() -> None:
    config = ElpvConfig(name="ELPV", split=SplitConfig(calibration=0.15, test=0.25))
    manifest = read_dataset(config, seed=0)
    assert manifest.table["cell_type"].to_pylist().count("poly") == 1550
    assert set(manifest.table["width"].to_pylist()) == {300}
    assert manifest.counts["defective"] == {"train": 493, "calibration": 123, "test": 205}


def test_read_dataset_train_per_class_limits_training_images(parts: Path) -> None:
    whole, few = read(parts), read(parts, split=SplitConfig(train_per_class=2))
    assert few.counts == {
        "good": {"train": 2, "calibration": 2, "test": 2},
        "긁힘": {"train": 2, "calibration": 1, "test": 2},
    }
    rows = {(row["sha256"], row["split"]) for row in few.table.to_pylist()}
    assert rows < {(row["sha256"], row["split"]) for row in whole.table.to_pylist()}
    assert any("7 training images are left out" in note for note in few.notes)
    assert few.fingerprint != whole.fingerprint
    assert read(parts, split=SplitConfig(train_per_class=999)).notes == whole.notes


def test_read_dataset_keeps_the_groups_of_a_setting_together(parts: Path) -> None:
    manifest = read(parts, group="every:2")
    group, split = (manifest.table[name].to_pylist() for name in ("group", "split"))
    assert len(set(group)) == 9
    assert len(set(zip(group, split, strict=True))) == 9
    assert len(set(manifest.component)) == 9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("folder:1", "dataset.group=folder:1: the 18 images make 2 groups, and the 10 images of "
         "class 'good' only 1; training takes 2"),
        ("every:5", "the 18 images make 4 groups, and the 10 images of class 'good' only 2"),
    ],
)  # fmt: skip
def test_read_dataset_groups_that_join_a_class_name_the_setting(
    setting: str, message: str, parts: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        read(parts, group=setting)
    read_as_given(ImageFolderConfig(name="parts", root=str(parts), group=setting))


def test_read_dataset_given_splits_that_divide_a_group_are_ignored_on_demand(
    tmp_path: Path,
) -> None:
    for seed, place in enumerate(("train/bad", "train/good", "test/bad", "test/good")):
        save_images(tmp_path / place, random_images(12, 9, 9, seed), "part")
    setting = r"pattern:part(\d+)"
    with pytest.raises(DatasetError, match=r"draw new splits with dataset\.split\.given=ignore"):
        read(tmp_path, group=setting)
    drawn = read(tmp_path, group=setting, split=SplitConfig(given="ignore"))
    assert not drawn.given_splits
    kept = {(group, split) for group, split in zip(
        drawn.table["group"].to_pylist(), drawn.split.tolist(), strict=True)}  # fmt: skip
    assert len(kept) == len({group for group, _ in kept})
    assert read(tmp_path).given_splits


def write_run(folder: Path, manifest: Manifest) -> Path:
    folder.mkdir()
    manifest.write(folder / "manifest.parquet")
    return folder


def test_read_dataset_from_run_draws_only_what_is_new(parts: Path, tmp_path: Path) -> None:
    before = read(parts)
    run = write_run(tmp_path / "run", before)
    (parts / "good" / "000.png").rename(parts / "good" / "renamed.png")
    save_images(parts / "good" / "new", random_images(10, 20, 30, seed=3))
    after = read(parts, seed=5, split=SplitConfig(from_run=str(run)))
    old, new = (
        dict(zip(one.table["sha256"].to_pylist(), one.table["split"].to_pylist(), strict=True))
        for one in (before, after)
    )
    assert {content: new[content] for content in old} == old
    assert after.counts["good"] == {"train": 12, "calibration": 4, "test": 4}
    assert any("18 of 28 images keep" in note for note in after.notes)


def test_read_dataset_from_run_that_divides_a_group_is_refused(parts: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", read(parts))
    with pytest.raises(DatasetError, match=r"from_run: .*/good/.* was in .* now they belong"):
        read(parts, group="every:10", split=SplitConfig(from_run=str(run)))


def test_read_dataset_from_run_beside_given_splits_is_refused(parts: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", read(parts))
    for name in ("train", "test"):
        (tmp_path / "given" / name).mkdir(parents=True)
        save_images(tmp_path / "given" / name / "good", random_images(4, 9, 9, seed=4))
        save_images(tmp_path / "given" / name / "bad", random_images(4, 9, 9, seed=5))
    with pytest.raises(DatasetError, match="the data set gives splits itself"):
        read(tmp_path / "given", split=SplitConfig(from_run=str(run)))


@pytest.mark.parametrize("folder", ["nowhere", "", " "])
def test_read_dataset_from_no_run_is_refused(parts: Path, folder: str) -> None:
    with pytest.raises(DatasetError, match="from_run: expected the folder of a run"):
        read(parts, split=SplitConfig(from_run=folder))


def test_read_dataset_from_a_run_without_these_images_is_refused(
    parts: Path, tmp_path: Path
) -> None:
    for label, seed in (("good", 7), ("긁힘", 8)):
        save_images(tmp_path / "others" / label, random_images(8, 9, 9, seed=seed))
    run = write_run(tmp_path / "run", read(tmp_path / "others"))
    with pytest.raises(DatasetError, match="none of the 18 images was in that run"):
        read(parts, split=SplitConfig(from_run=str(run)))
    (run / "fold-1").mkdir()
    with pytest.raises(DatasetError, match="is a cross-validation"):
        read(parts, split=SplitConfig(from_run=str(run)))
