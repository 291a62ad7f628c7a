"""What a run leaves behind besides its inspector: settings, figures, predictions."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from sihwa.augmentation import Augmenter, contact_sheet
from sihwa.dataset import Manifest
from sihwa.decision import TopClassPolicy
from sihwa.errors import ConfigError
from sihwa.evaluation import Evaluation
from sihwa.images import read_image
from sihwa.run.compose import to_config
from sihwa.run.config import TrainConfig, schema_names, schema_nodes
from sihwa.storage import replacing, write_json, write_text

_SHEET_ROWS = 8

_LONGEST = 1_000_000
"""Characters of a config.yaml; a whole one has some thousands."""

_REFERENCE = re.compile(r"(?<!\\)(\\\\)*\$\{")
"""What OmegaConf would resolve, environment variables included."""


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write config.yaml: every setting of the run, resolved, and the schema of each group."""
    content = {**asdict(config), "schema": schema_names(config)}
    for name in ("output_dir", "cache_dir"):  # a run may be resumed from another folder
        content[name] = str(Path(content[name]).expanduser().absolute())
    for name in ("root", "path"):
        if name in content["dataset"]:
            content["dataset"][name] = str(Path(content["dataset"][name]).expanduser().absolute())
    # not through OmegaConf, which loses a Ctrl-C or turns it into an error of its own
    text = yaml.safe_dump(_literal(content), sort_keys=False, allow_unicode=True)
    write_text(folder / "config.yaml", text)


def _literal(value: Any) -> Any:  # noqa: ANN401 -- whatever YAML holds
    r"""Return settings in which OmegaConf, which reads them again, sees no reference.

    >>> _literal({"root": "parts/${x}"})
    {'root': 'parts/\\${x}'}
    """
    if isinstance(value, dict):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def read_config(folder: Path) -> TrainConfig:
    """Read the settings of a run from its folder; ranges are checked on the way.

    Raises:
        ConfigError: There are none, or they are not as a run wrote them.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"resume: expected a run folder, such as outputs/2026-01-31/14-05-09, but {folder} "
            "holds no config.yaml"
        )
    try:
        content = OmegaConf.create(_read_plain(path))
        if not isinstance(content, DictConfig) or not isinstance(content.schema, DictConfig):
            raise TypeError("it is no list of settings")
        settings = OmegaConf.structured(TrainConfig)
        for group, node in schema_nodes(content.pop("schema")).items():
            settings[group] = OmegaConf.structured(node)
        config = to_config(OmegaConf.merge(settings, content))  # type: ignore[arg-type]
        given = OmegaConf.to_container(content, resolve=False)
        if missing := _missing(asdict(config), given):
            raise KeyError(f"it lacks {missing}")
        return config
    except (
        RecursionError,
        OmegaConfBaseException,
        yaml.YAMLError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"resume: {path} is not as a run wrote it: {reason}") from error


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads what `write_config` writes: no aliases, which a few lines can blow up to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 -- yaml's own signature
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has YAML aliases")
        return super().compose_node(parent, index)


def _read_plain(path: Path) -> Any:  # noqa: ANN401 -- whatever YAML holds
    """Read YAML that refers to nothing: neither to itself nor to the environment."""
    with path.open(encoding="utf-8") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST} characters")
    content = yaml.load(text, _PlainLoader)
    _refuse_references(content)
    return content


def _refuse_references(value: Any) -> None:  # noqa: ANN401 -- whatever YAML holds
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_references(one)
    elif isinstance(value, str) and (value == "???" or _REFERENCE.search(value)):
        raise ValueError(f"{value!r} is no value")


def _missing(whole: Any, given: Any, name: str = "") -> str | None:  # noqa: ANN401 -- settings
    """Return the first setting of a whole configuration that is not given."""
    if not isinstance(whole, dict):
        return None
    if not isinstance(given, dict):
        return name
    for key, value in whole.items():
        inner = f"{name}.{key}".lstrip(".")
        if key not in given:
            return inner
        if lacking := _missing(value, given[key], inner):
            return lacking
    return None


def write_contact_sheet(folder: Path, manifest: Manifest, config: TrainConfig) -> None:
    """Write augmentation.png: training images, each beside copies as training sees them.

    Nothing is written where augmentation changes nothing.
    """
    augmenter = Augmenter(config.augmentation)
    if not augmenter:
        return
    label = manifest.label_index
    rows = [
        np.flatnonzero((manifest.split == "train") & (label == kind))[0]
        for kind in range(len(manifest.classes))
    ]
    path = manifest.table["path"].to_pylist()
    images = [read_image(path[row]) for row in rows[:_SHEET_ROWS]]
    sheet = contact_sheet(images, augmenter, seed=config.seed)
    with replacing(folder / "augmentation.png") as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def write_metrics(folder: Path, evaluation: Evaluation) -> None:
    """Write metrics.json: the figures on the test split with their intervals."""
    write_json(folder / "metrics.json", evaluation.as_dict())


def write_predictions(
    folder: Path,
    manifest: Manifest,
    probability: NDArray[np.floating],
    unknown: NDArray[np.floating],
    policy: TopClassPolicy,
) -> None:
    """Write predictions.parquet: one row per image, named as the columns of a score table.

    Args:
        folder: The run folder.
        manifest: The images, N of them.
        probability: Calibrated probabilities, (N, K).
        unknown: How unlike the training images each is, (N,).
        policy: Turns them into decisions.
    """
    decisions = policy.decide(probability, unknown)
    columns: dict[str, object] = {
        name: manifest.table[name] for name in ("path", "sha256", "label", "split")
    }
    columns["decision"] = [decision.outcome for decision in decisions]
    columns["reason"] = [decision.reason for decision in decisions]
    columns["top_class"] = [manifest.classes[index] for index in probability.argmax(1)]
    for index, name in enumerate(manifest.classes):
        columns[f"probability_{name}"] = probability[:, index].astype(np.float32)
    columns["unknown"] = unknown.astype(np.float32)
    with replacing(folder / "predictions.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")
