"""What a run leaves in its folder besides inspector and report.

manifest.parquet      every image with label and split
config.yaml           every setting of the run, and the schema of each group
augmentation.png      training images beside augmented copies
predictions.parquet   probabilities and decision of every image
corruptions.json/png  the test under corruption, if asked for
(metrics.json is written by `Run.finish`, train.log by `run_log`)
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from PIL import Image

from sihwa.augmentation import STRENGTHS, Augmenter, contact_sheet, corruption_sheet
from sihwa.dataset import Manifest, move_manifest, read_manifest
from sihwa.errors import ConfigError
from sihwa.images import shrink
from sihwa.model import Framing
from sihwa.run.calibrate import Calibrated
from sihwa.run.config import SCHEMAS, TrainConfig, schema_names
from sihwa.run.robustness import Robustness
from sihwa.storage import replacing, write_json, write_text

_SHEET_ROWS = 8
_MOST_BYTES = 1_000_000  # a config.yaml has some thousands


def write_inputs(folder: Path, manifest: Manifest, config: TrainConfig) -> None:
    """Write what `Run.resume` reads; config.yaml comes last, so a folder with it has both."""
    manifest.write(folder / "manifest.parquet")
    text = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)


def read_inputs(folder: Path, root: str | None = None) -> Manifest:
    """Read the manifest of a run; with a root, note in it where the images moved."""
    path = folder / "manifest.parquet"
    manifest = read_manifest(path)
    if root is not None:
        manifest = move_manifest(manifest, root)
        manifest.write(path)
    return manifest


def read_config(folder: Path) -> TrainConfig:
    """Read the settings of a run from its folder; types and ranges are checked.

    Raises:
        ConfigError: There is no config.yaml, or this version did not write it.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"resume: expected a run folder, such as outputs/2026-01-31/14-05-09, but {folder} "
            "holds no config.yaml"
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "schema" not in content:
            raise ValueError("it names no schema")
        config = _config_from(content)
        if differing := _names(_plain(config)) ^ _names(content):
            raise ValueError(f"settings are missing or unknown: {', '.join(sorted(differing))}")
        return config
    except Exception as error:  # a foreign file fails in as many ways as there are files
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise ConfigError(f"resume: {path} was not written by a run: {reason}") from error


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the content of config.yaml; paths are absolute, so it can be read from anywhere."""
    content = {**asdict(config), "schema": schema_names(config)}
    for settings in (content, content["dataset"], content["dataset"]["split"]):
        for name in {"output_dir", "cache_dir", "root", "path", "from_run"} & settings.keys():
            if settings[name] is None:
                continue
            settings[name] = str(Path(settings[name]).expanduser().absolute())
    return content


def _config_from(content: dict[str, Any]) -> TrainConfig:
    groups = {
        group: msgspec.convert(content[group], SCHEMAS[group][name])
        for group, name in content["schema"].items()
    }
    others = {name: value for name, value in content.items() if name not in groups}
    return replace(msgspec.convert(others, TrainConfig), **groups)


def _names(settings: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the dotted names of all settings.

    >>> sorted(_names({"seed": 0, "model": {"name": "tiny"}}))
    ['model.name', 'seed']
    """
    names: set[str] = set()
    for key, value in settings.items():
        nested = isinstance(value, dict)
        names |= _names(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}"}
    return names


def write_contact_sheet(
    folder: Path, manifest: Manifest, config: TrainConfig, framing: Framing
) -> None:
    """Write augmentation.png: training images, each beside augmented copies, if there are any.

    As in a training, no image is larger than the network has a use for.
    """
    augmenter = Augmenter(config.augmentation)
    if not augmenter:
        return
    label = manifest.label_index
    rows = [
        np.flatnonzero((manifest.split == "train") & (label == kind))[0]
        for kind in range(len(manifest.classes))
    ]
    images = [manifest.read_image(int(row)) for row in rows[:_SHEET_ROWS]]
    images = [shrink(image, framing.useful_size(*image.shape[:2])) for image in images]
    _write_png(folder / "augmentation.png", contact_sheet(images, augmenter, seed=config.seed))


def write_predictions(folder: Path, manifest: Manifest, calibrated: Calibrated) -> None:
    """Write predictions.parquet: one row per image, with the columns of a score table."""
    probability, unknown = calibrated.probability, calibrated.unknown
    decisions = calibrated.policy.decide(probability, unknown)
    columns: dict[str, object] = {
        name: manifest.table[name] for name in ("path", "path_bytes", "sha256", "label", "split")
    }
    columns["decision"] = [decision.outcome for decision in decisions]
    columns["reason"] = [decision.reason for decision in decisions]
    columns["top_class"] = [manifest.classes[index] for index in probability.argmax(1)]
    for index, name in enumerate(manifest.classes):
        columns[f"probability_{name}"] = probability[:, index].astype(np.float32)
    columns["unknown"] = unknown.astype(np.float32)
    with replacing(folder / "predictions.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def write_robustness(folder: Path, manifest: Manifest, robustness: Robustness) -> None:
    """Write corruptions.json and an image under each corruption, if any was measured."""
    if not robustness:
        return
    names = ("accuracy", "escapes", "overkill")
    content = {
        kind: [
            {"strength": strength, **{n: asdict(f) for n in names if (f := getattr(one, n))}}
            for strength, one in zip(STRENGTHS, evaluations, strict=True)
        ]
        for kind, evaluations in robustness.items()
    }
    write_json(folder / "corruptions.json", content)
    first = int(np.flatnonzero(manifest.split == "test")[0])
    image = manifest.read_image(first)
    key = int(manifest.table["sha256"][first].as_py()[:8], 16)
    _write_png(folder / "corruptions.png", corruption_sheet(image, list(robustness), key))


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
