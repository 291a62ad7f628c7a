"""A finished training run, as its folder states it: settings, figures, and what it decided.

Axes: N test images.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sihwa.dataset import read_manifest
from sihwa.errors import ConfigError
from sihwa.evaluation import Figure
from sihwa.qualification.paired import Judged
from sihwa.qualification.then_and_now import read_figure

FIGURES = ("accuracy", "escapes", "overkill", "review")
_MOST_BYTES = {"config.yaml": 1_000_000, "metrics.json": 100_000_000}
_MOST_SETTINGS = 10_000
_COLUMNS = ("sha256", "label", "split", "decision", "top_class")
_PLACES = ("output_dir", "cache_dir", "schema")
"""Settings that say where files are, and the kind of each group, which its name says too."""


@dataclass(frozen=True, eq=False)
class TestImages:
    """The test images of a run and what was decided, sorted by content."""

    __test__ = False  # pytest takes the name for tests

    sha256: tuple[str, ...]
    label: tuple[str, ...]
    judged: Judged
    group: tuple[str, ...]
    """Group of each image, N names."""


@dataclass(frozen=True)
class FinishedRun:
    """What a run folder states."""

    folder: Path
    settings: Mapping[str, str]
    """Dotted name → value, as it is written in config.yaml."""
    figures: Mapping[str, Figure]
    """Those of FIGURES that are there; of the decisions, else of the top class."""
    accept_classes: tuple[str, ...]

    @cached_property
    def test_images(self) -> TestImages:
        """Its test images.

        Raises:
            ConfigError: Its tables cannot be read.
        """
        return _read_test_images(self.folder, self.accept_classes)


def read_run(folder: Path) -> FinishedRun:
    """Read the folder of a finished run.

    Raises:
        ConfigError: It is no run folder, or the run is not finished.
    """
    content = _read(folder, "metrics.json")
    try:
        metrics = msgspec.json.decode(content, type=dict[str, Any])
        accept_classes = msgspec.convert(metrics.get("accept_classes"), tuple[str, ...])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _foreign(folder / "metrics.json", error) from error
    found = _figures(metrics)
    if "accuracy" not in found:
        raise _foreign(folder / "metrics.json", ValueError("it states no accuracy"))
    return FinishedRun(folder, _read_settings(folder), found, accept_classes)


def runs_in(folder: Path) -> list[FinishedRun]:
    """Return the run of a folder, or the folds of a cross-validation."""
    if not (folder / "fold-1").is_dir():
        return [read_run(folder)]
    folds = [one for one in folder.glob("fold-*") if one.name[5:].isdecimal()]
    return [read_run(one) for one in sorted(folds, key=lambda one: int(one.name[5:]))]


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise ConfigError(
            f"expected the folder of a finished run, such as outputs/latest; {folder} holds no "
            f"{name}"
        )
    if path.stat().st_size > _MOST_BYTES[name]:
        raise _foreign(path, ValueError(f"it has more than {_MOST_BYTES[name]} bytes"))
    try:
        return path.read_bytes()
    except OSError as error:
        raise _foreign(path, error) from error


def _foreign(path: Path, error: Exception) -> ConfigError:
    reason = " ".join((str(error) or type(error).__name__).split())[:200]
    return ConfigError(f"{path} was not written by a run: {reason}")


def _read_settings(folder: Path) -> dict[str, str]:
    import yaml  # with the packages of a training, where runs are made

    content = _read(folder, "config.yaml")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content)):
            raise ValueError("it holds aliases")  # which can make a small file a huge one
        settings = yaml.safe_load(content)
        if not isinstance(settings, dict):
            raise ValueError("it holds no settings")
        pairs = list(islice(_flat(settings), _MOST_SETTINGS))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _foreign(folder / "config.yaml", error) from error
    return {name: text for name, text in pairs if name.partition(".")[0] not in _PLACES}


def _flat(settings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the value of each setting.

    >>> list(_flat({"seed": 0, "model": {"name": "tiny", "pool": None}}))
    [('seed', '0'), ('model.name', 'tiny'), ('model.pool', 'null')]
    """
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            yield f"{prefix}{key}", text


def _figures(metrics: Mapping[str, Any]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for content in (metrics, metrics.get("decisions")):  # decisions replace the top class
        figures = content.get("figures") if isinstance(content, dict) else None
        if isinstance(figures, dict):
            rates = {name: read_figure(figures.get(name)) for name in FIGURES}
            found |= {name: rate for name, rate in rates.items() if rate is not None}
    return {name: found[name] for name in FIGURES if name in found}


def _read_test_images(folder: Path, accept_classes: tuple[str, ...]) -> TestImages:
    """Return the test images; their groups are those by which the run was split."""
    path = folder / "predictions.parquet"
    try:
        table = pq.read_table(path, columns=list(_COLUMNS), partitioning=None)
        columns = {name: np.array(table[name].to_pylist(), np.str_) for name in _COLUMNS}
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _foreign(path, error) from error
    manifest = read_manifest(folder / "manifest.parquet")
    group = dict(zip(manifest.table["sha256"].to_pylist(), manifest.component, strict=True))
    rows = np.flatnonzero(columns["split"] == "test")
    rows = rows[np.lexsort([columns[name][rows] for name in ("label", "sha256")])]
    sha256, label, _, decision, top = (columns[name][rows] for name in _COLUMNS)
    is_good = np.isin(label, accept_classes) if accept_classes else None
    return TestImages(
        sha256=tuple(sha256.tolist()),
        label=tuple(label.tolist()),
        judged=Judged(decision, top != label, is_good),
        group=tuple(group.get(one, one) for one in sha256.tolist()),
    )
