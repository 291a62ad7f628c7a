"""The manifest: every image of a run with its label, split, content and size.

Axes: N images.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sihwa.dataset.split import SPLITS, find_components
from sihwa.errors import DatasetNotFound, InvalidLabels, UnreadableImage
from sihwa.storage import replacing, sha256_of_bytes

_BOX = pa.struct(
    [("label", pa.string()), *((edge, pa.int32()) for edge in ("xmin", "ymin", "xmax", "ymax"))]
)
MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("boxes", pa.list_(_BOX)),
    ]
)
"""Columns of every manifest; what else a source knows follows as columns of text."""

_METADATA = b"sihwa"


@dataclass(frozen=True, eq=False)
class Manifest:
    """All images that a run used.

    Attributes:
        table: One row per image, N rows: MANIFEST_SCHEMA, then text columns of the source.
        name: Name of the data set.
        classes: Class names, in the order of the network's outputs.
        accept_classes: The classes that the line lets pass.
        licence: Licence of the images.
        dropped: Images left out because they could not be read.
        notes: What a user should know about how the data set was read.
    """

    table: pa.Table
    name: str
    classes: tuple[str, ...]
    accept_classes: tuple[str, ...] = ()
    licence: str = "not stated"
    dropped: tuple[UnreadableImage, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """Split of each image, (N,)."""
        return np.array(self.table["split"].to_pylist(), dtype=np.str_)

    @cached_property
    def label_index(self) -> NDArray[np.intp]:
        """Class of each image as its place in `classes`, (N,)."""
        index = {name: place for place, name in enumerate(self.classes)}
        return np.array([index[name] for name in self.table["label"].to_pylist()], dtype=np.intp)

    @cached_property
    def component(self) -> list[str]:
        """What each image must not be separated from, N names."""
        return find_components(self.table["group"].to_pylist(), self.table["sha256"].to_pylist())

    @cached_property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each class in each split: {class: {split: count}}."""
        return {
            name: {
                split: int(((self.label_index == place) & (self.split == split)).sum())
                for split in SPLITS
            }
            for place, name in enumerate(self.classes)
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of what was learnt from: contents, labels and splits, wherever they lie."""
        rows = zip(
            *(self.table[name].to_pylist() for name in ("sha256", "label", "split")), strict=True
        )
        facts = [sorted(rows), list(self.classes), list(self.accept_classes)]
        return sha256_of_bytes(json.dumps(facts, ensure_ascii=False).encode())

    def take(self, rows: Sequence[int]) -> "Manifest":
        """Return the manifest of these rows alone, in this order, with the same classes."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def with_split(self, split: Sequence[str]) -> "Manifest":
        """Return the same images divided otherwise, N names of splits."""
        place = self.table.schema.get_field_index("split")
        column = pa.array(split, pa.string())
        return replace(
            self, table=self.table.set_column(place, MANIFEST_SCHEMA.field("split"), column)
        )

    def write(self, path: Path) -> None:
        """Write the manifest as Parquet, whole or not at all.

        Raises:
            StorageError: The file system refused.
        """
        facts = {
            "name": self.name,
            "classes": self.classes,
            "accept_classes": self.accept_classes,
            "licence": self.licence,
            "dropped": [[image.path, image.reason] for image in self.dropped],
            "notes": self.notes,
            "fingerprint": self.fingerprint,
        }
        metadata = {_METADATA: json.dumps(facts, ensure_ascii=False)}
        with replacing(path) as temporary:
            pq.write_table(
                self.table.replace_schema_metadata(metadata), temporary, compression="zstd"
            )


def read_manifest(path: Path) -> Manifest:
    """Read a manifest that a run wrote.

    Raises:
        DatasetNotFound: There is no such file.
        InvalidLabels: It is not a manifest, or was changed since it was written.
    """
    try:
        table = pq.read_table(path, partitioning=None)
        facts = json.loads(table.schema.metadata[_METADATA])
        manifest = Manifest(
            table=table.replace_schema_metadata(None),
            name=facts["name"],
            classes=tuple(facts["classes"]),
            accept_classes=tuple(facts["accept_classes"]),
            licence=facts["licence"],
            dropped=tuple(UnreadableImage(*image) for image in facts["dropped"]),
            notes=tuple(facts["notes"]),
        )
        _check(manifest)
        unchanged = manifest.fingerprint == facts["fingerprint"]
    except FileNotFoundError as error:
        raise DatasetNotFound(f"no manifest at {path}") from error
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidLabels(
            f"{path}: expected a manifest.parquet that a run wrote, which this is not. "
            "Take another copy of it, or train anew"
        ) from error
    if not unchanged:
        raise InvalidLabels(
            f"{path}: its rows were changed since it was written; read it as dataset=manifest "
            "instead"
        )
    return manifest


def _check(manifest: Manifest) -> None:
    """Refuse what no run writes, whatever its fingerprint says.

    Raises:
        ValueError: A fact or a column is of another kind or out of range.
        KeyError: A column is missing.
    """
    classes = manifest.classes
    texts = [manifest.name, manifest.licence, *classes, *manifest.accept_classes, *manifest.notes]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name is no text")
    if len(set(classes)) < max(2, len(classes)) or not set(manifest.accept_classes) <= set(classes):
        raise ValueError("its classes are not at least two different ones")
    for field in MANIFEST_SCHEMA:
        column = manifest.table[field.name]
        if column.type != field.type or (not field.nullable and column.null_count):
            raise ValueError(f"column {field.name} is not of type {field.type}")
    if set(manifest.table["label"].to_pylist()) != set(classes):
        raise ValueError("its labels are not its classes")
    if set(manifest.table["split"].to_pylist()) != set(SPLITS):
        raise ValueError("its splits are others")
    for name in ("height", "width"):
        if min(manifest.table[name].to_pylist()) < 1:
            raise ValueError(f"a {name} is below 1")
