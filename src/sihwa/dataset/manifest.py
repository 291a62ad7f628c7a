"""The manifest: every image of a run with its label, split, content and size.

Axes: N images.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sihwa.dataset.image_facts import ImageFacts
from sihwa.dataset.split import SPLITS, find_components
from sihwa.errors import DatasetError, UnreadableImage
from sihwa.images import AS_STORED, MAX_PIXELS, Decoding, decoded_image, read_bytes
from sihwa.storage import replacing, sha256_of_bytes
from sihwa.terminal.names import name_of_text, text_of_name

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
        pa.field("copy_of", pa.string()),
        pa.field("similar", pa.string()),
        pa.field("path_bytes", pa.string()),
        pa.field("exif_time", pa.string()),
    ]
)
"""Columns of every manifest; text columns with the source's attributes follow them.

`path_bytes` is the path's bytes in hex where they are not valid UTF-8, as in a score table.

`copy_of` names the group of near-identical images, `similar` that of images that probably show one
part; null for an image that is like no other.

`exif_time` is when the image was captured, as 2026-01-02T03:04:05; null if EXIF does not say.
"""

_METADATA = b"sihwa"
LIMIT = "dataset.max_pixels"
"""Name of the setting that limits the size of images."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """All images that a run used."""

    table: pa.Table
    """One row per image, N rows: MANIFEST_SCHEMA, then text columns of the source."""
    name: str
    classes: tuple[str, ...]
    """In the order of the network's outputs."""
    accept_classes: tuple[str, ...] = ()
    """The classes that pass."""
    licence: str = "not stated"
    dropped: tuple[UnreadableImage, ...] = ()
    """Images left out because they could not be read."""
    notes: tuple[str, ...] = ()
    """What a user should know about how the data set was read."""
    decoding: Decoding = AS_STORED
    """How its images are decoded."""
    given_splits: bool = False
    """Whether the data set gives splits, instead of having them drawn."""
    facts: Mapping[str, ImageFacts] = field(default_factory=dict, repr=False)
    """Facts by content (SHA-256), as far as measured; not written to a file."""

    @cached_property
    def files(self) -> list[str]:
        """Path of each image as the operating system spells it, N names; `path` is for reading."""
        names = (self.table[name].to_pylist() for name in ("path", "path_bytes"))
        return [name_of_text(text, raw) for text, raw in zip(*names, strict=True)]

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """Split of each image, (N,)."""
        return np.array(self.table["split"].to_pylist(), dtype=np.str_)

    @cached_property
    def label_index(self) -> NDArray[np.intp]:
        """Class of each image as an index into `classes`, (N,)."""
        index = {name: place for place, name in enumerate(self.classes)}
        return np.array([index[name] for name in self.table["label"].to_pylist()], dtype=np.intp)

    @cached_property
    def component(self) -> list[str]:
        """Component of each image, N names; images of one component stay in one split."""
        links = (self.table[name].to_pylist() for name in ("group", "sha256", "copy_of"))
        return find_components(*links)

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
        """Hex SHA-256 of contents, labels, splits and classes; paths do not count."""
        rows = zip(
            *(self.table[name].to_pylist() for name in ("sha256", "label", "split")), strict=True
        )
        facts = [sorted(rows), list(self.classes), list(self.accept_classes)]
        return sha256_of_bytes(json.dumps(facts, ensure_ascii=False).encode())

    def read_image(self, row: int) -> NDArray[np.uint8]:
        """Read and decode the image of a row for training: (H, W, 3), uint8 RGB.

        Raises:
            UnreadableImage: It vanished or changed since the manifest was made.
        """
        with self.open_image(row) as image:
            return image

    @contextlib.contextmanager
    def open_image(self, row: int) -> Iterator[NDArray[np.uint8]]:
        """Read an image as `read_image` does, for use by one of many threads; see `decoded_image`.

        Raises:
            UnreadableImage: It vanished or changed since the manifest was made.
        """
        path = self.files[row]
        try:
            content = read_bytes(path)
        except UnreadableImage as error:
            raise UnreadableImage(
                path, f"{error.reason}, but the run began with it; restore the file"
            ) from error
        if sha256_of_bytes(content) != self.table["sha256"][row].as_py():
            raise UnreadableImage(
                path, "changed since the run began; restore the file, or begin a new run"
            )
        with decoded_image(content, path, self.decoding) as (image, _):
            yield image

    def take(self, rows: Sequence[int]) -> "Manifest":
        """Return the manifest of these rows alone, in this order, with the same classes."""
        return replace(self, table=self.table.take(pa.array(rows, pa.int64())))

    def with_files(self, files: Sequence[str]) -> "Manifest":
        """Return the same images at other places, N names."""
        table = self.table
        for name, column in zip(("path", "path_bytes"), path_columns(files), strict=True):
            field = MANIFEST_SCHEMA.field(name)
            place = table.schema.get_field_index(name)
            table = table.set_column(place, field, pa.array(column, pa.string()))
        return replace(self, table=table)

    def with_split(self, split: Sequence[str]) -> "Manifest":
        """Return the same images with other splits, N names."""
        place = self.table.schema.get_field_index("split")
        column = pa.array(split, pa.string())
        return replace(
            self, table=self.table.set_column(place, MANIFEST_SCHEMA.field("split"), column)
        )

    def write(self, path: Path) -> None:
        """Write the manifest as Parquet, whole or not at all."""
        dropped = [(text_of_name(image.path)[0], image.reason) for image in self.dropped]
        notes = tuple(text_of_name(note)[0] for note in self.notes)
        facts = _Facts(self.name, self.classes, self.accept_classes, self.licence, dropped,
                       notes, self.fingerprint, self.decoding.max_pixels,
                       self.decoding.white, self.given_splits)  # fmt: skip
        table = self.table.replace_schema_metadata({_METADATA: msgspec.json.encode(facts)})
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")


def path_columns(files: Sequence[str]) -> tuple[list[str], list[str | None]]:
    """Return the columns path and path_bytes of some files, N names."""
    texts = [text_of_name(file) for file in files]
    return [text for text, _ in texts], [raw for _, raw in texts]


class _Facts(msgspec.Struct):
    """What a manifest's file holds beside its rows."""

    name: str
    classes: tuple[str, ...]
    accept_classes: tuple[str, ...]
    licence: str
    dropped: list[tuple[str, str]]
    notes: tuple[str, ...]
    fingerprint: str
    max_pixels: int = MAX_PIXELS
    white: tuple[float, float] | None = None
    given_splits: bool = False


def read_manifest(path: Path) -> Manifest:
    """Read a manifest written by a run.

    Raises:
        DatasetError: There is none, or it was changed since it was written.
    """
    try:
        table = _with_newer_columns(pq.read_table(path, partitioning=None))
        decoded = msgspec.json.decode(table.schema.metadata[_METADATA], type=_Facts)
        facts = msgspec.structs.asdict(decoded)
        fingerprint = facts.pop("fingerprint")
        facts["decoding"] = Decoding(facts.pop("max_pixels"), facts.pop("white"), LIMIT)
        facts["dropped"] = tuple(UnreadableImage(*image) for image in decoded.dropped)
        manifest = Manifest(table.replace_schema_metadata(None), **facts)
        _require_complete(manifest)
    except FileNotFoundError as error:
        raise DatasetError(f"no manifest at {path}") from error
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path}: not a manifest.parquet written by a run; copy it again, or train again"
        ) from error
    if manifest.fingerprint != fingerprint:
        raise DatasetError(
            f"{path}: its rows were changed after the run wrote it; read it as dataset=manifest"
        )
    return manifest


def _with_newer_columns(table: pa.Table) -> pa.Table:
    """Return a table of an earlier run with the columns that came later, empty."""
    for name in ("copy_of", "similar", "path_bytes", "exif_time"):
        if name not in table.column_names:
            nothing = pa.nulls(table.num_rows, pa.string())
            table = table.append_column(MANIFEST_SCHEMA.field(name), nothing)
    return table


def _require_complete(manifest: Manifest) -> None:
    table, classes = manifest.table, set(manifest.classes)
    complete = (
        all(table.schema.field(field.name).equals(field) for field in MANIFEST_SCHEMA)
        and len(classes) == len(manifest.classes) >= 2
        and classes == set(table["label"].to_pylist())
        and classes >= set(manifest.accept_classes)
        and set(table["split"].to_pylist()) == set(SPLITS)
    )
    if not complete:
        raise ValueError("its columns, classes or splits are not those of a manifest")
