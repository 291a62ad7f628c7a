"""The weights of an inspector, a safetensors file, checked without the safetensors package.

    8 bytes: length of the header, little-endian | header: JSON | data of the tensors, no gaps

Source: https://github.com/huggingface/safetensors, "Format". Nothing in it can run.
"""

import json
from math import prod
from typing import Any

from sihwa.errors import InvalidInspector
from sihwa.inspector.card import unique_keys

_MAX_HEADER = 16 * 2**20
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip


def check_weights_file(content: bytes, where: str) -> None:
    """Check that every tensor lies in the file, is as long as it says, and overlaps no other.

    Args:
        content: The whole file.
        where: Its name, for messages.

    Raises:
        InvalidInspector: With the file and the reason.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(_MAX_HEADER, len(content) - 8):
        raise _refusal(where, f"its first 8 bytes promise a header of {length} bytes")
    try:
        header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=unique_keys)
        spans = sorted(_span(entry) for key, entry in header.items() if key != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{error}"[:200]
        raise _refusal(where, f"its header does not list tensors ({reason})") from error
    end = 0
    for start, stop in spans:
        if start != end:
            raise _refusal(where, f"a tensor starts at byte {start} of the data, not at {end}")
        end = stop
    if end != len(content) - 8 - length:
        raise _refusal(
            where, f"its tensors take {end} bytes, the file has {len(content) - 8 - length}"
        )


def _span(entry: dict[str, Any]) -> tuple[int, int]:
    """Return where a tensor's data starts and stops."""
    start, stop = entry["data_offsets"]
    numbers = (start, stop, *entry["shape"])
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError("offsets and shape are not whole numbers")
    if len(numbers) > 10 or stop - start != prod(entry["shape"]) * _BYTES[entry["dtype"]]:
        raise ValueError("a tensor is not as long as its shape says")
    return start, stop


def _refusal(where: str, reason: str) -> InvalidInspector:
    return InvalidInspector(
        f"{where}: not a safetensors file: {reason}. Copy the inspector again, or use its .onnx "
        "file alone"
    )
