import csv
import io
import re
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sihwa.audit import (
    Finding,
    Inventory,
    Marked,
    compare_manifests,
    write_audit,
    write_clean_manifest,
)
from sihwa.audit.audit_files import render_audit
from sihwa.audit.identical_images import find_identical
from sihwa.dataset import ImageFolderConfig, Manifest, TabularConfig, read_as_given
from sihwa.errors import StorageError
from tests.helpers import random_images, save_images
from tests.unit.audit.made import made_facts, made_inventory


def read(root: Path) -> Manifest:
    return read_as_given(ImageFolderConfig(name="parts", root=str(root)))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Five images of two classes; dent/002.png is good/000.png under another label."""
    root = tmp_path / "parts"
    good = save_images(root / "good", random_images(3, 20, 30, seed=1))
    save_images(root / "dent", random_images(2, 20, 30, seed=2))
    (root / "dent" / "002.png").write_bytes(good[0].read_bytes())
    return root


def findings_of(manifest: Manifest) -> list[Finding]:
    return list(find_identical(Inventory(manifest, [made_facts()] * manifest.table.num_rows)))


def test_write_audit_table_holds_the_findings(parts: Path, tmp_path: Path) -> None:
    findings = findings_of(read(parts))
    write_audit(tmp_path / "out", findings, "Audit of parts")
    rows = pq.read_table(tmp_path / "out" / "audit.parquet").to_pylist()
    assert rows == [{**asdict(one), "images": [asdict(m) for m in one.images]} for one in findings]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"audit.parquet", "audit.html"}


def test_render_audit_shows_images_of_a_set_side_by_side_and_needs_no_network(parts: Path) -> None:
    page = render_audit(findings_of(read(parts)), "Audit of parts")
    (one_set,) = re.findall(r'<div class="set">(.*?)\n    </div>', page, re.DOTALL)
    assert one_set.count("data:image/jpeg;base64,") == 2
    assert one_set.count("<b><bdi>dent") == one_set.count("<b><bdi>good") == 1
    assert {"good: good/000.png", "dent: dent/002.png"} == set(re.findall('alt="(.*?)"', page))
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)


def test_render_audit_escapes_names_and_names_a_missing_image() -> None:
    mark = Marked(path="/gone/<script>.png", label="<em>", note="<i>")
    found = Finding(kind="k", severity="note", message="<u>", advice="a", images=(mark,) * 30)
    page = render_audit([found], "<s>")
    assert "cannot be read" in page
    assert not re.findall("<script>|<em>|<i>|<u>|<s>", page)
    assert "6 more images" in page


def test_write_clean_manifest_is_read_back_as_it_is(parts: Path, tmp_path: Path) -> None:
    before = read(parts)
    wrong = before.table["path"][1].as_py()
    suspect = Finding(
        kind="suspected wrong labels",
        severity="warning",
        message="m",
        advice="a",
        images=(Marked(path=wrong, label="dent", suggested_label="good"),),
    )
    path = tmp_path / "clean.csv"
    assert write_clean_manifest(path, before, [*findings_of(before), suspect]) == 3
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(path.read_text("utf-8")))}
    assert {one for one, row in rows.items() if row["audit_exclude"]} == {
        str(parts / "dent" / "002.png"),
        str(parts / "good" / "000.png"),
    }
    assert rows[wrong]["audit_suggested_label"] == "good"
    assert rows[wrong]["audit_reason"] == "suspected wrong labels"
    assert rows[wrong]["label"] == "dent"
    again = read_as_given(TabularConfig(name="clean", path=str(path)))
    assert not compare_manifests(before, again)
    assert again.fingerprint == before.fingerprint
    with pytest.raises(StorageError, match="exists"):
        write_clean_manifest(path, before, [])


def test_write_clean_manifest_keeps_group_split_and_attributes(tmp_path: Path) -> None:
    table = tmp_path / "parts.csv"
    paths = save_images(tmp_path / "images", random_images(4, 9, 9))
    lines = [f"{path},{'ab'[n % 2]},g{n},train,coil {n}" for n, path in enumerate(paths)]
    table.write_text("\n".join(["path,label,group,split,coil", *lines]))
    before = read_as_given(TabularConfig(name="parts", path=str(table)))
    write_clean_manifest(tmp_path / "clean.csv", before, [])
    again = read_as_given(TabularConfig(name="parts", path=str(tmp_path / "clean.csv")))
    names = ["path", "label", "group", "split", "coil"]
    assert again.table.select(names).equals(before.table.select(names))
    # a second audit writes its own columns over those of the first
    write_clean_manifest(tmp_path / "again.csv", again, [])
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "clean.csv").read_text()


def test_compare_manifests_tells_what_came_went_and_changed() -> None:
    before = made_inventory(
        ["good", "good", "dent", "dent"],
        sha256=["a", "b", "c", "d"],
        split=["train", "test", "train", "train"],
    ).manifest
    after = made_inventory(
        ["dent", "good", "good", "dent"],
        path=["/new/c", "/new/e", "/new/b", "/new/d"],
        sha256=["c", "e", "b", "d"],
        split=["test", "train", "test", "train"],
    ).manifest
    found = compare_manifests(before, after)
    assert (found.came, found.went) == (("/new/e",), ("/parts/0000.jpg",))
    assert not found.label
    assert [(one.path, one.before, one.after) for one in found.split] == [
        ("/new/c", "train", "test")
    ]


def test_compare_manifests_new_label_and_copies() -> None:
    before = made_inventory(["good", "dent", "dent"], sha256=["a", "b", "b"]).manifest
    after = made_inventory(["dent", "dent", "dent"], sha256=["b", "a", "c"]).manifest
    found = compare_manifests(before, after)
    assert [(one.path, one.before, one.after) for one in found.label] == [
        ("/parts/0001.jpg", "good", "dent")
    ]
    assert (found.came, found.went) == (("/parts/0002.jpg",), ("/parts/0002.jpg",))
    assert not found.split  # neither has splits
