import os
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import random_images, save_images


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Images of two sizes, and one of every kind of trouble that ends in a row."""
    folder = tmp_path / "부품 (1조)"
    save_images(folder, random_images(9, 30, 40))
    save_images(folder / "b", random_images(9, 20, 20, seed=1))
    pages = [Image.fromarray(page) for page in random_images(3, 16, 18)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    (folder / "빈 파일.jpg").touch()
    (folder / 'with "quotes", commas\nand lines.png').write_bytes(b"no image")
    (folder / "notes.txt").touch()
    if os.name != "nt":
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(b"no image")
        os.mkfifo(folder / "pipe.png")
    return folder
