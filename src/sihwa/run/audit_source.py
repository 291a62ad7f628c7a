"""Audit a data set by itself, or as a part of a run: read, embed, look for what is wrong."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sihwa.audit import (
    Finding,
    Inventory,
    ManifestDiff,
    audit,
    compare_manifests,
    find_similar_parts,
    worst_first,
    write_audit,
)
from sihwa.audit.audit_files import PAGE
from sihwa.dataset import Manifest, measure_manifest, move_manifest, read_as_given, read_manifest
from sihwa.errors import ConfigError, DatasetError
from sihwa.evaluation import Similarity, check_similarity
from sihwa.run.build_network import build_network
from sihwa.run.compose import compose_config, options_of
from sihwa.run.config import TrainConfig
from sihwa.run.processes import choose_device
from sihwa.run.run_files import read_config
from sihwa.run.run_folder import FIRST_FOLD, is_fold
from sihwa.training import embed_manifest

log = logging.getLogger(__name__)

_TABLES = (".csv", ".json", ".parquet", ".tsv")
_MOVED = "dataset.root="


@dataclass(frozen=True)
class Audited:
    """A data set and what was found."""

    manifest: Manifest
    findings: list[Finding]


def audit_words(words: Sequence[str]) -> Audited:
    """Audit what the words of a command line name; see `read_words`."""
    manifest, config = read_words(words)
    device = choose_device(config.device)
    network = build_network(config, manifest)
    cache_dir = Path(config.cache_dir)
    embedding = embed_manifest(network, manifest, cache_dir=cache_dir, device=device)
    similarity = check_similarity(embedding, manifest, config.seed)
    return Audited(manifest, find_faults(manifest, embedding, similarity, config))


def compare_sources(first: str, second: str) -> ManifestDiff:
    """Return what differs between two sources, each a word as of `read_words`.

    Raises:
        ConfigError: A word is a setting, but not of a whole data set, as dataset=elpv is.
    """
    for word in (first, second):
        if "=" in word and not word.startswith("dataset=") and not Path(word).exists():
            raise ConfigError(
                f"--diff takes two sources, but {word} is a setting; name a folder, a table or "
                "a run"
            )
    return compare_manifests(*(read_words([one])[0] for one in (first, second)))


def audit_run(
    folder: Path,
    manifest: Manifest,
    embedding: NDArray[np.floating],
    similarity: Similarity,
    config: TrainConfig,
) -> list[Finding]:
    """Audit the images of a run with embeddings (N, D), log the findings and write the page.

    The folds of a cross-validation have the same images, so only the first is audited.

    Raises:
        DatasetError: A finding is severe, and dataset.audit is strict.
    """
    if config.dataset.audit == "off" or (is_fold(folder) and folder.name != FIRST_FOLD):
        return []
    findings = find_faults(manifest, embedding, similarity, config)
    write_audit(folder, findings, f"Audit of {manifest.name}", manifest.decoding)
    for one in findings:
        log.log(logging.INFO if one.severity == "note" else logging.WARNING, "audit: %s", one.line)
    if findings and findings[0].severity == "severe" and config.dataset.audit == "strict":
        raise DatasetError(
            f"dataset.audit=strict: {findings[0].line}. All findings: {folder / PAGE}; "
            "dataset.audit=warn trains all the same"
        )
    return findings


def find_faults(
    manifest: Manifest, embedding: NDArray[np.floating], similarity: Similarity, config: TrainConfig
) -> list[Finding]:
    """Return the findings of a manifest with embeddings (N, D), the worst first."""
    facts = measure_manifest(manifest)
    inventory = Inventory(manifest, facts)
    share = config.dataset.split.test
    found = audit(inventory, embedding, test_share=share, seed=config.seed)
    return worst_first([*found, *find_similar_parts(inventory, similarity)])


def read_words(words: Sequence[str]) -> tuple[Manifest, TrainConfig]:
    """Read the data set that words name, and the settings that they change.

    Args:
        words: A run folder, a manifest.parquet, a table, or a folder or .zip of images, or nothing
            of these; then settings as of a run: `dataset=neu_det`, `dataset.root=PATH`, ...

    Raises:
        ConfigError: There is no such source, or a setting is wrong.
        DatasetError: The images or labels cannot be listed.
    """
    sources = [word for word in words if "=" not in word or Path(word).exists()]
    settings = [word for word in words if word not in sources]
    if len(sources) > 1:
        raise ConfigError(f"expected one source, got {', '.join(sources)}")
    if not sources:
        config = compose_config(settings)
        return read_as_given(config.dataset), config
    source = Path(sources[0]).expanduser()
    if not sources[0] or not source.exists():
        raise ConfigError(
            f"expected a folder or .zip of images, a table, a run folder or settings such as "
            f"dataset=elpv; found nothing at {sources[0]!r}"
        )
    if (source / "config.yaml").is_file():
        root, others = _moved_to(settings)
        if others:
            raise ConfigError(
                f"a run keeps its own settings; remove {', '.join(others)}. Only "
                "dataset.root=FOLDER may be given, if its images moved there"
            )
        return _read_moved(source / "manifest.parquet", root), read_config(source)
    if source.name == "manifest.parquet":
        root, others = _moved_to(settings)
        return _read_moved(source, root), compose_config(others)
    if source.suffix.lower() in _TABLES:
        config = compose_config(["dataset=manifest", f"dataset.path={source}", *settings])
    else:
        kind = "auto" if "auto" in options_of("dataset") else "image_folder"
        chosen = [] if any(one.startswith("dataset=") for one in settings) else [f"dataset={kind}"]
        config = compose_config([*chosen, f"dataset.root={source}", *settings])
    return read_as_given(config.dataset), config


def _moved_to(settings: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the folder to which images moved, if it is given, and the other settings."""
    roots = [word.removeprefix(_MOVED) for word in settings if word.startswith(_MOVED)]
    others = [word for word in settings if not word.startswith(_MOVED)]
    return (roots[-1] if roots else None), others


def _read_moved(path: Path, root: str | None) -> Manifest:
    manifest = read_manifest(path)
    return manifest if root is None else move_manifest(manifest, root)
