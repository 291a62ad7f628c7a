"""What a run leaves behind besides its inspector: settings, figures, predictions."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from omegaconf import OmegaConf

from sihwa.dataset import Manifest
from sihwa.evaluation import Evaluation
from sihwa.storage import replacing, write_json, write_text
from sihwa.workshop.config import TrainConfig

__all__ = ["write_config", "write_metrics", "write_predictions"]


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write config.yaml: every setting of the run, resolved."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(asdict(config))))


def write_metrics(folder: Path, evaluation: Evaluation) -> None:
    """Write metrics.json: the figures on the test split with their intervals."""
    write_json(folder / "metrics.json", evaluation.as_dict())


def write_predictions(folder: Path, manifest: Manifest, probability: NDArray[np.floating]) -> None:
    """Write predictions.parquet: one row per picture, its probabilities (N, K) as columns."""
    table = manifest.table.select(["path", "sha256", "label", "split"])
    top = [manifest.classes[index] for index in probability.argmax(1)]
    table = table.append_column("top_class", pa.array(top))
    for index, name in enumerate(manifest.classes):
        column = pa.array(probability[:, index].astype(np.float32))
        table = table.append_column(f"probability_{name}", column)
    with replacing(folder / "predictions.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")
