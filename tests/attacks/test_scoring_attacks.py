"""Damaged and hostile files: as many rows as images, and no row of another's pixels."""

import random
import resource
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.scoring import Entry, ReadOptions, ScoreOptions, score_block, score_sources
from tests.helpers import random_images
from tests.score_helpers import facts, files_of, read, stub_inspector
from tests.unit.images.forge import exif, png, raw_png, saved, tiff, write_tar, write_zip

Blob = bytes
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp"}


def zoo() -> dict[str, bytes]:
    """A healthy image of every format and kind that is read."""
    [colour] = random_images(1, 40, 50)
    image = Image.fromarray(colour)
    grey = image.convert("L")
    alpha = image.copy()
    alpha.putalpha(grey)
    wide = (np.asarray(grey).astype(np.uint16) * 257).astype(">u2")
    pages = [Image.fromarray(page) for page in random_images(3, 24, 20)]
    return {
        "colour.jpg": saved(image, "JPEG", quality=90),
        "grey.jpg": saved(grey, "JPEG"),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "progressive.jpg": saved(image, "JPEG", progressive=True),
        "turned.jpg": saved(image, "JPEG", exif=exif(6)),
        "colour.png": saved(image, "PNG"),
        "palette.png": saved(image.convert("P"), "PNG"),
        "alpha.png": saved(alpha, "PNG"),
        "grey and alpha.png": saved(alpha.convert("LA"), "PNG"),
        "16-bit.png": png(50, 16, 0, [row.tobytes() for row in wide]),
        "colour.bmp": saved(image, "BMP"),
        "8-bit.tif": saved(grey, "TIFF"),
        "16-bit.tif": tiff(16, wide.astype("<u2").tobytes()),
        "pages.tif": saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        "lzw.tiff": saved(image, "TIFF", compression="tiff_lzw"),
        "colour.webp": saved(image, "WEBP"),
        "lossless.webp": saved(image, "WEBP", lossless=True),
        "grey.pgm": b"P5 50 40 255\n" + grey.tobytes(),
        "16-bit.pgm": b"P5 50 40 65535\n" + wide.tobytes(),
        "plain.ppm": b"P3\n1 1\n255\n1 2 3\n",
    }


def bombs() -> dict[str, bytes]:
    """Small files that claim to be huge."""
    return {
        "bomb.png": raw_png((20_000, 20_000), 8, 0, b""),
        "bomb.pgm": b"P5 100000 100000 255\n",
        "bomb.bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        "bomb.jpg": saved(Image.new("L", (8, 8)), "JPEG").replace(
            b"\x00\x08\x00\x08\x01", b"\xff\xff\xff\xff\x01"
        ),
    }  # fmt: skip


def flip_bits(blob: Blob, rng: random.Random) -> Blob:
    changed = bytearray(blob)
    for _ in range(rng.choice((1, 3, 30))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(blob: Blob, rng: random.Random) -> Blob:
    return blob[: rng.randrange(len(blob))]


def swap_header(blob: Blob, rng: random.Random) -> Blob:
    other = rng.choice(list(zoo().values()))
    length = rng.choice((2, 16, 64))
    return other[:length] + blob[length:]


def insert_junk(blob: Blob, rng: random.Random) -> Blob:
    place = rng.randrange(len(blob))
    return blob[:place] + rng.randbytes(rng.choice((1, 50, 5000))) + blob[place:]


DAMAGE: list[Callable[[Blob, random.Random], Blob]] = [
    flip_bits, truncate, swap_header, insert_junk
]  # fmt: skip


def make_damaged(folder: Path, count: int) -> int:
    """Write `count` damaged files with healthy ones among them; return how many in all."""
    folder.mkdir()
    rng = random.Random(0)
    healthy = zoo()
    for number in range(count):
        name = rng.choice(list(healthy))
        blob = rng.choice(DAMAGE)(healthy[name], rng)
        (folder / f"{number:06d} {name}").write_bytes(blob)
    for number, (name, blob) in enumerate({**healthy, **bombs()}.items()):
        (folder / f"{number * 37:06d} healthy {name}").write_bytes(blob)
    return count + len(healthy) + len(bombs())


@pytest.mark.parametrize(
    "count", [pytest.param(600, id="600"), pytest.param(10_000, id="10000", marks=pytest.mark.slow)]
)
def test_score_sources_damaged_files_all_have_rows_and_healthy_ones_their_own(
    tmp_path: Path, count: int
) -> None:
    folder = tmp_path / "in"
    total = make_damaged(folder, count)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    summary = score_sources(
        stub_inspector(), folder, tmp_path / "out", ScoreOptions(read=ReadOptions(max_pixels=10**7))
    )
    table = read(tmp_path / "out")
    files = files_of(table)
    assert len(set(files)) == total == len(before)
    assert summary.images == len(table)
    assert {row.decision for row in table.itertuples() if row.error} == {"review"}
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    rows = {row["path"]: row for row in table.to_dict("records")}
    inspector = stub_inspector()
    for path in folder.glob("* healthy *"):
        alone = score_block(inspector, [Entry(str(path))], ReadOptions(max_pixels=10**7))
        assert len(alone) == (3 if "pages" in path.name else 1)
        for row in alone:
            assert (row["error"] is None) is ("bomb" not in path.name), row["error"]
            assert rows[row["path"]] == facts(row)


def test_score_sources_bombs_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    for name, blob in bombs().items():
        (tmp_path / name).write_bytes(blob)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = score_block(
        stub_inspector(), [Entry(str(path)) for path in sorted(tmp_path.iterdir())], ReadOptions()
    )
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert ["pixels are more than" in str(row["error"]) for row in rows] == [True] * 4
    assert grown_mib < 100


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_score_sources_damaged_archives_never_crash(tmp_path: Path, kind: str) -> None:
    members = dict(list(zoo().items())[:6])
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        write_zip(archive, members)
    else:
        write_tar(archive, list(members.items()))
    whole, rng = archive.read_bytes(), random.Random(1)
    for number in range(60):
        archive.write_bytes(rng.choice(DAMAGE)(whole, rng))
        out = tmp_path / f"{number}.jsonl"
        summary = score_sources(stub_inspector(), archive, out)
        assert summary.images == len(read(out)) > 0


def test_score_sources_link_inside_a_tar_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            link = tarfile.TarInfo(f"{kind!r}.png")
            link.type, link.linkname = kind, "/etc/passwd"
            file.addfile(link)
    score_sources(stub_inspector(), tmp_path / "a.tar", tmp_path / "out.jsonl")
    errors = set(read(tmp_path / "out.jsonl").error)
    assert [error.startswith("a link, special file") for error in errors] == [True]
