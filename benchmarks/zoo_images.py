"""Image files as cameras, phones and interrupted copies leave them."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from zoo_case import fill, levels, noise, parts, reads, refused, save


@reads("mixed sizes", silent=True)
def _(place: Path) -> None:
    for n, path in enumerate(sorted(parts(place).glob("*/*.png"))):
        save(path, size=(16 + n, 40 - 2 * n))


@reads("mixed channels", images=17)
def _(place: Path) -> None:
    for mode in ("1", "L", "P", "RGBA", "LA"):
        save(parts(place) / f"good/{mode}.png", mode)


@reads("mixed formats", images=22)
def _(place: Path) -> None:
    for ending in (".JPG", ".jfif", ".jpe", ".TIF", ".bmp", ".webp", ".ppm", ".pgm", ".pbm"):
        mode = {".pgm": "L", ".pbm": "1"}.get(ending, "RGB")
        save(parts(place) / f"good/x{ending}", mode)
    save(place / "parts/ng/ink.jpg", "CMYK")


def _save_levels(place: Path, highest: float, kind: str, ending: str) -> None:
    for path in list(parts(place).glob("*/*.png")):
        grey = levels(path, highest)
        path.unlink()
        Image.fromarray(grey.astype(kind)).save(path.with_suffix(ending))


@reads("full 16 bits", silent=True)
def _(place: Path) -> None:
    _save_levels(place, 65535, "uint16", ".png")


@reads("12 bits in 16", says="dataset.white=4095")
def _(place: Path) -> None:
    _save_levels(place, 4095, "uint16", ".png")


@reads("10 bits in 16, white found", says="1,023 is white")
def _(place: Path) -> list[str]:
    _save_levels(place, 1023, "uint16", ".tif")
    return ["dataset.white=auto"]


@refused("float TIFF", r"from 0 to 1, have no defined white.*dataset\.white")
def _(place: Path) -> None:
    _save_levels(place, 1.0, "float32", ".tif")


@reads("float TIFF with its white", silent=True)
def _(place: Path) -> list[str]:
    _save_levels(place, 1.0, "float32", ".tif")
    return ["dataset.white=[0,1]"]


@reads("8 and 16 bits", images=15)
def _(place: Path) -> None:
    for n in range(3):
        grey = levels(Path(f"{n}"), 65535).astype(np.uint16)
        Image.fromarray(grey).save(parts(place) / f"ng/wide{n}.png")


@reads("alpha 0 everywhere", silent=True)
def _(place: Path) -> None:
    for path in parts(place).glob("*/*.png"):
        image = noise(path).convert("RGBA")
        image.putalpha(0)
        image.save(path)


@refused("TIFF of several pages", r"stack\.tif: holds 3 pages")
def _(place: Path) -> None:
    pages = [noise(Path(f"{n}")) for n in range(3)]
    pages[0].save(parts(place) / "good/stack.tif", save_all=True, append_images=pages[1:])


@refused("animated PNG", r"moving\.png: holds 2 ")
def _(place: Path) -> None:
    pages = [noise(Path(f"{n}")) for n in range(2)]
    pages[0].save(parts(place) / "good/moving.png", save_all=True, append_images=pages[1:])


@reads("padded JPEG")
def _(place: Path) -> None:
    for path in list(parts(place).glob("*/*.png")):
        whole = save(path.with_suffix(".jpg")).read_bytes()
        path.with_suffix(".jpg").write_bytes(whole[:-2] + bytes(18) + whole[-2:])
        path.unlink()


@reads("turned by EXIF", images=13)
def _(place: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    noise(Path("turned"), (24, 16)).save(parts(place) / "good/turned.jpg", exif=exif)


@reads("images of one colour", images=14, says="2 of 14 images are of one colour")
def _(place: Path) -> None:
    for level in (0, 255):
        Image.new("L", (24, 24), level).save(parts(place) / f"ng/flat{level}.png")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@refused("truncated JPEG", r"1 of 13 .*on_unreadable=drop: .*cut\.jpg: damaged")
def _(place: Path) -> None:
    _cut(save(parts(place) / "good/cut.jpg", size=(64, 64)))


@refused("truncated PNG", r"1 of 12 .*000\.png: damaged")
def _(place: Path) -> None:
    _cut(parts(place) / "good/000.png")


@reads("truncated PNG dropped", images=11)
def _(place: Path) -> list[str]:
    _cut(parts(place) / "good/000.png")
    return ["dataset.on_unreadable=drop"]


@refused("all unreadable", "12 of 12 images cannot be read")
def _(place: Path) -> None:
    for path in parts(place).glob("*/*.png"):
        _cut(path)


@refused("all unreadable, dropped", "12 of 12 images could not be read")
def _(place: Path) -> list[str]:
    for path in parts(place).glob("*/*.png"):
        _cut(path)
    return ["dataset.on_unreadable=drop"]


@refused("one class unreadable, dropped", "6 of 12 images could not be read")
def _(place: Path) -> list[str]:
    for path in (parts(place) / "ng").glob("*.png"):
        _cut(path)
    return ["dataset.on_unreadable=drop"]


@reads("one of three classes unreadable, dropped", says="blister")
def _(place: Path) -> list[str]:
    for path in fill(parts(place) / "blister"):
        _cut(path)
    return ["dataset.on_unreadable=drop"]


@refused("accept class unreadable, dropped", "class 'good' could be read, so")
def _(place: Path) -> list[str]:
    fill(parts(place) / "blister")
    for path in (place / "parts/good").glob("*.png"):
        _cut(path)
    return ["dataset.on_unreadable=drop", "dataset.accept_classes=[good]"]


@refused("file of no bytes", r"none\.png: empty file")
def _(place: Path) -> None:
    (parts(place) / "good/none.png").touch()


@refused("text named .png", r"text\.png: not an image of a known format")
def _(place: Path) -> None:
    (parts(place) / "good/text.png").write_text("version https://git-lfs.github.com/spec/v1\n")


@refused("HEIC named .jpg", r"phone\.jpg: not an image of a known format")
def _(place: Path) -> None:
    (parts(place) / "good/phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))


@refused("pipe named .png", r"pipe\.png: not a regular file")
def _(place: Path) -> None:
    os.mkfifo(parts(place) / "good/pipe.png")


@refused("too many pixels", r"24 x 24 .*dataset\.max_pixels")
def _(place: Path) -> list[str]:
    parts(place)
    return ["dataset.max_pixels=100"]


@refused("identical images with two labels", "two labels: .*000.* is 'good', .*same0.* is 'ng'")
def _(place: Path) -> None:
    root = parts(place)
    for n in range(5):
        shutil.copy(root / f"good/00{n}.png", root / f"ng/same{n}.png")


@reads("identical images in one class", images=14)
def _(place: Path) -> None:
    root = parts(place)
    for n in range(2):
        shutil.copy(root / "good/000.png", root / f"good/same{n}.png")


@reads("JPEG named .png", images=18)
def _(place: Path) -> None:
    for path in fill(parts(place) / "good/phone", 6, ".jpg"):
        path.rename(path.with_suffix(".png"))
