"""Images and archives written byte by byte, so that what they hold is known beforehand."""

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

from PIL import Image

BMP = (
    b"BM" + struct.pack("<IHHI", 70, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, 24, 0, 0, 0, 0, 0, 0)
    + bytes([7, 8, 9, 10, 11, 12, 0, 0])  # the lower row comes first, blue before green before red
    + bytes([1, 2, 3, 4, 5, 6, 0, 0])
)  # fmt: skip


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(
    width: int, depth: int, colour: int, rows: list[bytes], *extra: tuple[bytes, bytes]
) -> bytes:
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 0)  # stored as they are
    parts = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def tiff(
    bits: int,
    pixels: bytes,
    *,
    sample: int = 1,
    order: str = "<",
    turned: int = 1,
    photometric: int = 1,
) -> bytes:
    """One row of grey; sample 1 is unsigned, 2 signed, 3 floating-point; photometric 0 negative."""
    width, at = len(pixels) * 8 // bits, 8 + 2 + 11 * 12 + 4
    tags = {
        256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: at, 274: turned, 277: 1,
        278: 1, 279: len(pixels), 339: sample,
    }  # fmt: skip
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(tags))
    table = b"".join(
        struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items()
    )
    return head + table + bytes(4) + pixels


def exif(orientation: int) -> bytes:
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def write(folder: Path, *names: str) -> list[str]:
    """Write files that hold their own names; return their paths."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.fsencode(name))
    return [str(folder / name) for name in names]


def write_zip(archive: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(archive)


def change(archive: str, old: bytes, new: bytes) -> None:
    """Change every place of an archive where some bytes stand, as a hostile maker would."""
    content = Path(archive).read_bytes()
    assert old in content
    assert len(old) == len(new)
    Path(archive).write_bytes(content.replace(old, new))


def write_raw_zip(archive: Path, name: bytes, content: bytes) -> str:
    """Write an archive whose name has no UTF-8 flag."""
    written = write_zip(archive, {"~" * len(name): content})
    change(written, b"~" * len(name), name)
    return written
