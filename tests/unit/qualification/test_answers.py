"""What an inspector says of labelled images: inspected now, or scored before."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sihwa.dataset.item import Item
from sihwa.errors import DatasetError
from sihwa.qualification.answers import answers_of_scores, inspect_labelled
from sihwa.qualification.labelled import Labelled, LabelSource, read_labelled
from sihwa.scoring import ReadOptions
from tests.helpers import CLASSES, random_images
from tests.score_helpers import score, stub_inspector

READ = ReadOptions(pages="error")


def coloured(folder: Path, label: str, name: str, channel: int, side: int = 20) -> Path:
    """Save an image that the stub inspector takes for the class of the brightest channel."""
    pixels = random_images(1, side, side, seed=int(name[0]))[0] // 8
    pixels[..., channel] += 150
    path = folder / label / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "parts"
    coloured(root, "good", "1.png", 0)
    coloured(root, "good", "2.png", 1)
    coloured(root, "good", "3.png", 0, side=17)  # the stub gives NaN for such images
    coloured(root, "scratch", "4.png", 1)
    coloured(root, "얼룩", "5.png", 0)
    (root / "얼룩" / "cut.png").write_bytes(b"\x89PNG")
    return root


def test_inspect_labelled_order_labels_and_faults(parts: Path) -> None:
    labelled = read_labelled(LabelSource(parts))
    found = inspect_labelled(stub_inspector(), labelled, READ, batch_size=1)
    assert [CLASSES[k] for k in found.label] == [item.label for item in labelled.items]
    assert found.outcome.tolist() == ["accept", "reject", "review", "reject", "accept", "review"]
    assert found.has_top.tolist() == [True, True, False, True, True, False]
    assert found.is_wrong.tolist() == [False, True, True, False, True, True]
    assert found.is_good is not None
    assert found.is_good.tolist() == [True, True, True, False, False, False]
    assert [Path(path).name for path in found.faults] == ["cut.png"]
    assert len(set(found.group)) == 6


def test_inspect_labelled_identical_files_are_one_group(parts: Path) -> None:
    content = (parts / "good" / "1.png").read_bytes()
    (parts / "good" / "1 copy.png").write_bytes(content)
    found = inspect_labelled(stub_inspector(), read_labelled(LabelSource(parts)), READ, 32)
    assert (len(found.group), len(set(found.group))) == (7, 6)


def test_inspect_labelled_unknown_class_names_both_lists(parts: Path) -> None:
    coloured(parts, "dent", "6.png", 1)
    labelled = read_labelled(LabelSource(parts))
    with pytest.raises(DatasetError, match=r"does not know 'dent'; it knows 'good', 'scratch'"):
        inspect_labelled(stub_inspector(), labelled, READ, 32)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_answers_of_scores_are_those_of_the_images(
    parts: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"scores.{suffix}"
    score(parts, out)
    label_rows(out)
    found = answers_of_scores(stub_inspector().card, read_labelled(LabelSource(out)))
    fresh = inspect_labelled(stub_inspector(), read_labelled(LabelSource(parts)), READ, 32)
    assert found.notes == ()
    assert found.group == fresh.group
    assert list(found.faults) == list(fresh.faults)
    np.testing.assert_array_equal(found.outcome, fresh.outcome)
    np.testing.assert_array_equal(found.probability, fresh.probability)
    np.testing.assert_array_equal(found.label, fresh.label)


def label_rows(path: Path) -> None:
    """Add the folder of each image to a score table, as its label."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        names = [Path(one).parent.name for one in table["path"].to_pylist()]
        pq.write_table(table.append_column("label", pa.array(names)), path)
        return
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["label"] = [Path(one).parent.name for one in frame["path"]]
    frame.to_csv(path, index=False)


def row(**changes: str) -> Mapping[str, str]:
    scores = {"probability_good": "0.6", "probability_scratch": "0.3", "probability_얼룩": "0.1"}
    return {"path": "a.png", "unknown": "1.0", "decision": "reject", **scores, **changes}


def one(**changes: str) -> Labelled:
    return Labelled([Item("a.png", "good")], [row(**changes)], ())


def test_answers_of_scores_other_thresholds_are_decided_again() -> None:
    found = answers_of_scores(stub_inspector().card, one(thresholds="0" * 16, inspector="abc"))
    assert found.outcome.tolist() == ["accept"]
    assert "decided again" in found.notes[0]
    assert "scored by inspector abc" in found.notes[1]
    kept = one(thresholds=stub_inspector().card.thresholds_id)
    assert answers_of_scores(stub_inspector().card, kept).outcome.tolist() == ["reject"]


def test_answers_of_scores_blank_image_stays_in_review() -> None:
    found = answers_of_scores(stub_inspector().card, one(reason="all pixels are the same"))
    assert found.outcome.tolist() == ["review"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability_dent": "0"}, "'dent', the inspector knows"),
        ({"unknown": "=1"}, "unknown of a.png must be a number, got '=1'"),
    ],
)
def test_answers_of_scores_foreign_table_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        answers_of_scores(stub_inspector().card, one(**changes))
