from dataclasses import replace

import numpy as np
import pytest

from sihwa.dataset import Manifest
from sihwa.errors import TooFewImages
from sihwa.training.held_out import held_out_metrics, hold_out


def test_hold_out_splits_by_class_and_component(manifest: Manifest) -> None:
    split = hold_out(manifest, 0.25, seed=0)
    expected = np.flatnonzero(manifest.split == "train").tolist()
    assert sorted(split.fitted + split.held_out) == expected
    assert np.bincount(manifest.label_index[split.held_out]).tolist() == [3, 3]


def test_hold_out_one_component_per_class_is_refused(manifest: Manifest) -> None:
    column = manifest.table.schema.get_field_index("group")
    grouped = replace(
        manifest, table=manifest.table.set_column(column, "group", manifest.table["label"])
    )
    with pytest.raises(TooFewImages, match="too few to hold any out"):
        hold_out(grouped, 0.25, seed=0)


def test_held_out_metrics_equal_a_count_by_hand() -> None:
    logit = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    metrics = held_out_metrics(logit, np.array([0, 1, 0, 0]))
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    right = [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(3)), 1 / (1 + np.exp(-1))]
    assert metrics["log_loss"] == pytest.approx(-np.log(right).mean())
