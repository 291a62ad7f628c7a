"""Run folders as a training leaves them, without a training."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from sihwa.dataset import Manifest
from sihwa.dataset.manifest import MANIFEST_SCHEMA
from sihwa.evaluation import EvaluationConfig, Truth, evaluate
from sihwa.storage import sha256_of_bytes, write_json

COUNT = 120
SPLITS = ("train", "calibration", "test")


def made_run(
    folder: Path, *, missed: int = 0, part: int = 1, test: int = 2, **settings: object
) -> Path:
    """Write the folder of a run.

    Every third image is in the test split, half of them good; of the 20 defects there `missed`
    are accepted. `part` images in a row show one part.

    Args:
        folder: Made here.
        missed: Defects accepted, at most 20.
        part: Images of one part.
        test: Which of each three images is the test image: another one, other test images.
        settings: What config.yaml says besides the seed.
    """
    number = np.arange(COUNT)
    split = np.roll(SPLITS, test - 2)[number % 3]
    label = np.where(number // 3 % 2 == 0, "good", "crack")
    is_test = split == "test"
    defects = np.flatnonzero(is_test & (label == "crack"))
    outcome = np.where(label == "good", "accept", "reject")
    outcome[defects[:missed]] = "accept"
    top = np.where(outcome == "accept", "good", "crack")
    group = [f"part {place // part}" for place in (number // 3).tolist()]
    sha256 = [sha256_of_bytes(bytes([place])) for place in number.tolist()]
    folder.mkdir(parents=True)
    _write_manifest(folder, label.tolist(), group, split.tolist(), sha256)
    columns = {"sha256": sha256, "label": label, "split": split, "decision": outcome}
    pq.write_table(pa.table({**columns, "top_class": top}), folder / "predictions.parquet")
    found = evaluate(
        np.eye(2)[(top == "crack").astype(int)][is_test] * 0.9 + 0.05,
        Truth(
            (label[is_test] == "crack").astype(int),
            ["good", "crack"],
            ["good"],
            np.array(group)[is_test].tolist() if part > 1 else None,
        ),
        outcome=outcome[is_test].tolist(),
        config=EvaluationConfig(resamples=100),
    )
    write_json(folder / "metrics.json", found.as_dict())
    content = {"seed": 0, "output_dir": str(folder), **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def _write_manifest(
    folder: Path, label: list[str], group: list[str], split: list[str], sha256: list[str]
) -> None:
    nothing = [None] * COUNT
    columns: dict[str, Any] = dict.fromkeys(MANIFEST_SCHEMA.names, nothing)
    columns |= {"path": [f"{place}.png" for place in range(COUNT)], "label": label, "group": group}
    columns |= {"split": split, "sha256": sha256, "width": [9] * COUNT, "height": [9] * COUNT}
    table = pa.table(columns, schema=MANIFEST_SCHEMA)
    Manifest(table, "made", ("crack", "good"), ("good",)).write(folder / "manifest.parquet")
