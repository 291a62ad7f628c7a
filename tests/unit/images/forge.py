"""Images and archives written byte by byte, so their content is known exactly."""

import io
import os
import struct
import tarfile
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
    """Return a PNG of these rows of packed pixels."""
    unpacked = b"".join(b"\0" + row for row in rows)
    return raw_png((width, len(rows)), depth, colour, unpacked, *extra)


def raw_png(
    size: tuple[int, int],
    depth: int,
    colour: int,
    unpacked: bytes,
    *extra: tuple[bytes, bytes],
    interlaced: int = 0,
) -> bytes:
    """Return a PNG with this content of its image data, in two chunks, stored uncompressed."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    packed = zlib.compress(unpacked, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", packed[:7]), (b"IDAT", packed[7:])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
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
    """Return one row of grey; sample 1 is unsigned, 2 signed, 3 float; photometric 0 negative."""
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
    """Write files that contain their own names; return their paths."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.fsencode(name))
    return [str(folder / name) for name in names]


def write_zip(archive: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return str(archive)


def write_tar(archive: Path, members: list[tuple[str, bytes]]) -> str:
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return str(archive)


def change(archive: str, old: bytes, new: bytes) -> None:
    """Replace bytes of an archive wherever they occur."""
    content = Path(archive).read_bytes()
    assert old in content
    assert len(old) == len(new)
    Path(archive).write_bytes(content.replace(old, new))


def write_raw_zip(archive: Path, name: bytes, content: bytes) -> str:
    """Write an archive whose name has no UTF-8 flag."""
    written = write_zip(archive, {"~" * len(name): content})
    change(written, b"~" * len(name), name)
    return written
