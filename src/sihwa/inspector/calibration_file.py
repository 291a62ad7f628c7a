"""calibration.parquet in an inspector: what its thresholds were made from, without any image.

With it `sihwa decide` finds other thresholds where the inspector runs.

Axes: n calibration images, K classes.
"""

import io
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sihwa.errors import InvalidInspector
from sihwa.inspector.strict_json import printable

_MOST_IMAGES = 10_000_000
_COLUMNS = ("label", "group", "unknown")


class CalibrationOutputs(NamedTuple):
    """Outputs of the network for the calibration images, and what is known of these."""

    probability: NDArray[np.float32]
    """Calibrated, (n, K)."""
    unknown: NDArray[np.float32]
    """Unknown score, (n,)."""
    label: NDArray[np.int32]
    """True class, (n,)."""
    group: NDArray[np.int32]
    """Images of one number are no independent evidence, (n,)."""


def pack_calibration(outputs: CalibrationOutputs) -> bytes:
    """Return the content of the file; the same outputs always give the same bytes."""
    columns = {name: getattr(outputs, name) for name in _COLUMNS}
    columns |= {f"p{kind}": column for kind, column in enumerate(outputs.probability.T)}
    packed = io.BytesIO()
    pq.write_table(pa.table(columns), packed, compression="zstd")
    return packed.getvalue()


def unpack_calibration(content: bytes, class_count: int, where: str) -> CalibrationOutputs:
    """Read the file; it may come from anywhere.

    Raises:
        InvalidInspector: It is damaged, or does not fit an inspector of so many classes.
    """
    names = [*_COLUMNS, *(f"p{kind}" for kind in range(class_count))]
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        if file.metadata.num_rows > _MOST_IMAGES or file.schema_arrow.names != names:
            raise ValueError(f"expected the columns {', '.join(names)[:100]}")
        column = {name: file.read([name])[name].to_numpy() for name in names}
        outputs = CalibrationOutputs(
            np.stack([column[f"p{kind}"] for kind in range(class_count)], axis=1),
            *(column[name] for name in ("unknown", "label", "group")),
        )
        _check(outputs, class_count)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInspector(
            f"{where}: not the calibration of this inspector: {printable(error)}. Copy it again"
        ) from error
    return outputs


def _check(outputs: CalibrationOutputs, class_count: int) -> None:
    kinds = [values.dtype for values in outputs]
    if kinds != [np.float32, np.float32, np.int32, np.int32] or not len(outputs.label):
        raise ValueError("columns have other types, or no row")
    numbers = np.concatenate([outputs.probability.ravel(), outputs.unknown])
    if not np.isfinite(numbers).all() or outputs.probability.min() < 0:
        raise ValueError("probabilities or unknown scores are out of range")
    if not 0 <= outputs.label.min() <= outputs.label.max() < class_count:
        raise ValueError("a label is no class")
