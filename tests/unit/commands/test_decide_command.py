"""`sihwa decide`: thresholds of a finished inspector move without a training."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.errors import ConfigError, DatasetError, InvalidInspector
from sihwa.inspector import Bundle, Card, ThresholdFacts, load_inspector, read_bundle, write_bundle
from sihwa.inspector.calibration_file import (
    CalibrationOutputs,
    pack_calibration,
    unpack_calibration,
)
from sihwa.scoring import score_sources
from tests.helpers import changed, random_images, save_images


def outputs(count: int = 400, classes: int = 3, seed: int = 0) -> CalibrationOutputs:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, count)
    logit = rng.normal(0, 1, (count, classes)) + 3 * np.eye(classes)[label]
    probability = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    return CalibrationOutputs(
        probability.astype(np.float32),
        rng.gamma(4, 0.25, count).astype(np.float32),
        label.astype(np.int32),
        np.arange(count, dtype=np.int32),
    )


@pytest.fixture
def inspector(tmp_path: Path, tiny_card: Card, tiny_graph: bytes, tiny_weights: bytes) -> Path:
    folder = tmp_path / "inspector"
    card = changed(tiny_card, accept_classes=tiny_card.classes[:1], metrics={"decisions": {"a": 1}})
    packed = pack_calibration(outputs(classes=len(card.classes)))
    write_bundle(folder, Bundle(card, tiny_graph, tiny_weights, calibration=packed))
    return folder


def decide(*words: object) -> str:
    result = CliRunner().invoke(app, ["decide", *map(str, words)], catch_exceptions=False)
    return result.output


def test_decide_out_writes_an_inspector_with_the_thresholds(
    inspector: Path, tmp_path: Path
) -> None:
    before = (inspector / "inspector.onnx").read_bytes()
    said = decide(inspector, "--escapes", "5%", "--overkill", "0.1", "--out", tmp_path / "new")
    assert "proven: escapes at most" in said
    assert (inspector / "inspector.onnx").read_bytes() == before
    old, new = read_bundle(inspector).card, read_bundle(tmp_path / "new").card
    assert isinstance(new.policy, ThresholdFacts)
    assert [claim.rate for claim in new.claims] == ["escapes", "overkill"]
    assert all(c.bound <= b for c, b in zip(new.claims, (0.05, 0.1), strict=True))
    assert new.thresholds_id != old.thresholds_id
    assert new.id != old.id
    assert (new.metrics, new.proof) == ({}, ())
    (image,) = random_images(1, 20, 30)
    ours, theirs = (load_inspector(one).predict(image)[0] for one in (inspector, tmp_path / "new"))
    np.testing.assert_array_equal(ours.probability, theirs.probability)
    again = decide(tmp_path / "new", "--escapes", "5%", "--overkill", "0.1")
    assert "nothing was written" in again


def test_decide_not_provable_names_the_flags(inspector: Path, tmp_path: Path) -> None:
    words = (inspector, "--escapes", "0.1%", "--out", tmp_path / "new")
    with pytest.raises(ConfigError, match=r"^--escapes: .* 2,995 .*--best-provable$"):
        decide(*words)
    assert not (tmp_path / "new").exists()
    assert "proven: escapes at most 1." in decide(*words, "--best-provable")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--policy", "cost"], r"--escape-cost must be in \(0"),
        (["--policy", "best"], "--policy must be one of"),
        (["--escapes", "much"], "a share such as 1%"),
        (["--escapes", "5"], "from 0% to 100%, got '5'"),
        (["--views", "2"], "go with --table"),
        (["--table", "scores.csv"], "name the new table with --out"),
        (["--per", "part"], "no two calibration images show one part"),
        (["--escapes", "0"], r"--escapes must be in \(0, 1\)"),
        (["--out", "."], r"--out: \. exists already"),
    ],
)
def test_decide_wrong_flag_is_refused(inspector: Path, words: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        decide(inspector, *words)


def test_decide_other_policies_decide_otherwise(inspector: Path, tmp_path: Path) -> None:
    said = decide(inspector, "--policy", "selective", "--errors", "3%", "--out", tmp_path / "s")
    assert "reviewed below a probability" in said
    assert read_bundle(tmp_path / "s").card.claims[0].rate == "errors"
    assert "no image is reviewed" in decide(inspector, "--policy", "selective", "--errors", "50%")
    costs = ("--escape-cost", 100, "--overkill-cost", 10, "--review-cost", 2)
    decide(inspector, "--policy", "cost", *costs, "--prevalence", "1%", "--out", tmp_path / "c")
    assert read_bundle(tmp_path / "c").card.claims == ()


def test_decide_costs_are_those_of_the_decisions(inspector: Path) -> None:
    costs = ("--escape-cost", 1000, "--overkill-cost", 50, "--review-cost", 3)
    policy = "--escapes", "5%", "--overkill", "10%", "--prevalence", "10%"
    said = decide(inspector, *policy, *costs)
    given = outputs()
    bad, defect = given.label > 0, 1 - given.probability[:, 0]
    found = re.search(r"up to P\(defect\) ([\d.]+), rejected from ([\d.]+)", said)
    cost = re.search(r"calibration images: ([\d,]+); with", said)
    assert found
    assert cost
    low, high = map(float, found.groups())
    of_bad = 1000 * (defect[bad] <= low).mean()
    of_bad += 3 * ((defect[bad] > low) & (defect[bad] < high)).mean()
    of_good = 50 * (defect[~bad] >= high).mean()
    of_good += 3 * ((defect[~bad] > low) & (defect[~bad] < high)).mean()
    # of 400 images 1 % may be called unknown, which costs a review instead
    expected = 1000 * (0.1 * of_bad + 0.9 * of_good)
    assert float(cost[1].replace(",", "")) == pytest.approx(expected, rel=0.05)
    assert "if all are reviewed 3,000" in said


def test_decide_table_without_the_column_of_parts_is_refused(
    inspector: Path, tmp_path: Path
) -> None:
    save_images(tmp_path / "in", random_images(1, 20, 30))
    score_sources(load_inspector(inspector), str(tmp_path / "in"), tmp_path / "s.csv")
    words = ("--best-provable", "--table", tmp_path / "s.csv", "--out", tmp_path / "n.csv")
    with pytest.raises(ConfigError, match="no column 'part'"):
        decide(inspector, *words, "--part", "column:part")
    assert not (tmp_path / "n.csv").exists()


def test_decide_table_decides_as_the_new_inspector_would(inspector: Path, tmp_path: Path) -> None:
    files = save_images(tmp_path / "in", random_images(8, 20, 30), "p")
    save_images(tmp_path / "in", np.full((1, 20, 30, 3), 7, np.uint8), "dark")
    (tmp_path / "in" / "broken.png").write_bytes(b"x")
    policy = "--escapes", "5%", "--overkill", "10%"
    decide(inspector, *policy, "--out", tmp_path / "new")
    tables = {}
    for name in (inspector, tmp_path / "new"):
        tables[name] = tmp_path / f"{name.name}.parquet"
        score_sources(load_inspector(name), str(tmp_path / "in"), tables[name])
    again = tmp_path / "again.parquet"
    part = "--part", r"p(\d+)", "--views", "1"
    said = decide(inspector, *policy, "--table", tables[inspector], "--out", again, *part)
    assert "decisions changed" in said
    columns = ["path", "decision", "reason", "inspector", "thresholds"]
    found = pq.read_table(again, columns=columns)
    assert found.equals(pq.read_table(tables[tmp_path / "new"], columns=columns))
    parts = pq.read_table(tmp_path / "again.parts.parquet")
    assert parts.num_rows == len(files) + 2
    with pytest.raises(DatasetError, match="scored by inspector"):
        decide(tmp_path / "new", *policy, "--table", again.parent / "inspector.parquet",
               "--out", tmp_path / "x.csv")  # fmt: skip
    assert not (tmp_path / "x.csv").exists()


def test_decide_inspector_without_calibration_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(InvalidInspector, match=r"keeps no calibration\.parquet"):
        decide(tiny_bundle)


def test_calibration_file_reads_back_and_is_always_the_same() -> None:
    given = outputs()
    packed = pack_calibration(given)
    assert packed == pack_calibration(outputs())
    for found, expected in zip(unpack_calibration(packed, 3, "f"), given, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1 and no more",
        pack_calibration(outputs(classes=4)),
        pack_calibration(outputs()._replace(label=np.full(400, 3, np.int32))),
        pack_calibration(outputs()._replace(unknown=np.full(400, np.nan, np.float32))),
        pack_calibration(outputs()._replace(unknown=np.zeros(400))),  # type: ignore[arg-type]
    ],
    ids=["empty", "truncated", "other classes", "no class", "NaN", "double"],
)
def test_calibration_file_hostile_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInspector, match="not the calibration of this inspector"):
        unpack_calibration(content, 3, "calibration.parquet")


def test_decide_changed_calibration_is_refused(inspector: Path) -> None:
    path = inspector / "calibration.parquet"
    path.write_bytes(pack_calibration(outputs(seed=1)))
    with pytest.raises(InvalidInspector, match="changed after it was written"):
        decide(inspector)
    listed = json.loads((inspector / "card.json").read_text("utf-8"))["files"]
    assert "calibration.parquet" in listed
