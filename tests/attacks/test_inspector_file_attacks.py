"""Files that are not what their names say: bombs, sparse files, programs, parts of others."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.attacks.forge import refuse

GIGABYTE = 2**30
BOMB_BYTES = 2**28
PARTS = ("inspector.onnx", "weights.safetensors", "card.json")


def zip_bomb() -> bytes:
    """Return an archive of a quarter of a megabyte that unpacks to 268 MB of zeros."""
    packed, block = io.BytesIO(), bytes(2**20)
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("inspector.onnx", "w", force_zip64=True) as file,
    ):
        for _ in range(BOMB_BYTES // len(block)):
            file.write(block)
    return packed.getvalue()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return zip_bomb()


@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_zip_bomb_for_a_part_is_refused(
    tiny_bundle: Path, bomb: bytes, part: str
) -> None:
    (tiny_bundle / part).write_bytes(bomb)
    refuse(tiny_bundle, "not an ONNX file|its length or SHA-256|not JSON", part)


def test_load_inspector_zip_bomb_alone_is_refused(tmp_path: Path, bomb: bytes) -> None:
    (tmp_path / "inspector.onnx").write_bytes(bomb)
    refuse(tmp_path / "inspector.onnx", "not an ONNX file")


def test_load_inspector_ten_gigabytes_of_nothing_alone_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "inspector.onnx").open("wb") as file:
        file.truncate(10 * GIGABYTE)
    refuse(tmp_path / "inspector.onnx", "10737418240 bytes are more than")


def test_load_inspector_ten_gigabytes_that_the_card_tells_of_are_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "card.json"
    card = json.loads(path.read_bytes())
    card["parts"]["weights.safetensors"]["bytes"] = 10 * GIGABYTE
    path.write_text(json.dumps(card), "utf-8")
    with (tiny_bundle / "weights.safetensors").open("wb") as file:
        file.truncate(10 * GIGABYTE)
    refuse(tiny_bundle, "10737418240 bytes are more than", "weights.safetensors")


class Program:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("packed", [False, True], ids=["pickle", "pickle_in_zip"])
def test_load_inspector_program_for_a_part_is_refused_and_not_run(
    tiny_bundle: Path, tmp_path: Path, part: str, packed: bool
) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps(Program(mark))
    pickle.loads(content).close()
    assert mark.exists(), "the program does what it should not be let do"
    mark.unlink()
    if packed:  # as PyTorch packs a state dict
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("archive/data.pkl", content)
        content = archive.getvalue()
    (tiny_bundle / part).write_bytes(content)
    refuse(tiny_bundle, "not an ONNX file|its length or SHA-256|not JSON", part)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_load_inspector_image_named_as_an_inspector_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "inspector.onnx"
    Image.new("RGB", (30, 20), (8, 1, 58)).save(path, format=kind)
    refuse(path, "not an ONNX file")


def test_load_inspector_script_named_as_an_inspector_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "inspector.onnx"
    path.write_text("#!/bin/sh\nrm -rf /\n", "utf-8")
    refuse(path, "not an ONNX file")
