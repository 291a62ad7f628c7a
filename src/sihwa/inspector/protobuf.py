"""Protocol-buffer messages read without trusting them, and without copying what they hold.

Field numbers and kinds: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

Value = int | memoryview
"""What a field holds: a number, or the bytes of anything longer."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

_LONGEST_NUMBER = 10
"""Bytes of 64 bits, seven a byte."""


class Damaged(Exception):
    """The bytes break a rule; the message says which."""


class Reader:
    """Walks the messages of one file, field by field.

    Args:
        limit: Fields that all messages may hold together. A file of two bytes per field would
            otherwise keep a reader busy for an hour.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def fields(self, message: memoryview) -> Iterator[tuple[int, Value]]:
        """Yield number and value of each field, in order.

        Raises:
            Damaged: No protocol buffer, truncated, or more fields than allowed.
        """
        position = 0
        while position < len(message):
            self._count += 1
            if self._count > self._limit:
                raise Damaged(f"it has more than {self._limit:,} fields")
            key, position = _varint(message, position)
            number, kind = key >> 3, key & 7
            if key >= 2**32:
                # other readers keep the lower 32 bits, and would find another field here
                raise Damaged(f"byte {position - 1} is no protocol buffer, so this is no ONNX file")
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if number == 0 or (length is None and kind not in (_VARINT, _LENGTH)):
                raise Damaged(f"byte {position - 1} is no protocol buffer, so this is no ONNX file")
            if kind in (_VARINT, _LENGTH):
                size, position = _varint(message, position)
                if kind == _VARINT:
                    yield number, size
                    continue
                length = size
            assert length is not None
            if position + length > len(message):
                raise Damaged("it ends in the middle: truncated, lengthened, or no ONNX file")
            yield number, message[position : position + length]
            position += length


def as_message(value: Value) -> memoryview:
    """Return a field that must hold bytes."""
    if isinstance(value, int):
        raise Damaged("a number stands where a message is expected")
    return value


def as_text(value: Value) -> str:
    """Return a field that must hold UTF-8."""
    try:
        return bytes(as_message(value)).decode()
    except UnicodeDecodeError as error:
        raise Damaged("a text is not UTF-8") from error


def as_numbers(value: Value, most: int) -> list[int]:
    """Return a repeated integer field of at most so many, which come one by one or packed."""
    if isinstance(value, int):
        return [value]
    if len(value) > _LONGEST_NUMBER * most:
        raise Damaged(f"more than {most} numbers stand where so many may stand")
    numbers, position = list[int](), 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


def encode_field(number: int, content: bytes) -> bytes:
    """Return the bytes of a field that holds `content`."""
    return _encode(number << 3 | _LENGTH) + _encode(len(content)) + content


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * _LONGEST_NUMBER, 7):
        if position >= len(message):
            raise Damaged("it ends in the middle: truncated, lengthened, or no ONNX file")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value < 2**64:
                return value, position
            break
    raise Damaged(f"byte {position - 1} is no protocol buffer, so this is no ONNX file")


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
