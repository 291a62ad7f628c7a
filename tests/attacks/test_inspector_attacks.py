"""Hostile and damaged inspector folders: files missing, swapped, tampered with, or no files."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sihwa.errors import InvalidInspector
from sihwa.inspector import load_inspector
from tests.attacks.forge import forge, graph_of, refuse
from tests.helpers import random_images, save_images

FILES = ["inspector.onnx", "card.json", "weights.safetensors", "README.md"]
needs_links = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no FIFOs, and links need rights"
)


REPLACED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "expected an inspector folder, found no"),
    "folder": (Path.mkdir, "expected a plain file, found a folder"),
    "fifo": (os.mkfifo, "expected a plain file"),
    "link_out_of_the_folder": (lambda p: p.symlink_to(f"../{p.name}"), "a folder, a link"),
    "link_to_itself": (lambda p: p.symlink_to(p.name), "a folder, a link"),
}


@needs_links
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("make", "reason"), REPLACED.values(), ids=list(REPLACED))
def test_load_inspector_part_that_is_no_file_is_refused_without_waiting(
    tiny_bundle: Path, make: Callable[[Path], object], reason: str, file: str
) -> None:
    (tiny_bundle / file).rename(tiny_bundle.parent / file)
    make(tiny_bundle / file)
    refuse(tiny_bundle, reason, "" if "found no" in reason else file)


@needs_links
def test_load_inspector_given_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inspector.onnx")
    refuse(tmp_path / "inspector.onnx", "found a special file")


@pytest.mark.parametrize("file", FILES)
def test_load_inspector_file_of_ten_gigabytes_is_refused(tiny_bundle: Path, file: str) -> None:
    with (tiny_bundle / file).open("wb") as stream:
        stream.truncate(10 * 2**30)
    refuse(tiny_bundle, "bytes are more than|its length or SHA-256", file)


def test_load_inspector_card_claiming_ten_gigabytes_is_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "card.json"
    card = json.loads(path.read_bytes())
    card["files"]["weights.safetensors"]["bytes"] = 10 * 2**30
    path.write_text(json.dumps(card), "utf-8")
    with (tiny_bundle / "weights.safetensors").open("wb") as file:
        file.truncate(10 * 2**30)
    refuse(tiny_bundle, "10737418240 bytes are more than", "weights.safetensors")


@pytest.mark.parametrize("file", [file for file in FILES if file != "card.json"])
@pytest.mark.parametrize("where", ["first", "middle", "last", "added", "cut"])
def test_load_inspector_byte_of_a_part_changed_is_refused(
    tiny_bundle: Path, file: str, where: str
) -> None:
    content = bytearray((tiny_bundle / file).read_bytes())
    if where == "added":
        content += b"\n"
    elif where == "cut":
        del content[-1]
    else:
        content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    (tiny_bundle / file).write_bytes(content)
    refuse(tiny_bundle, ".", file)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        pytest.param(None, "files: Expected `object`", id="none"),
        pytest.param([], "files: Expected `object`", id="a_list"),
        pytest.param({}, "files: expected the SHA-256", id="some_missing"),
        pytest.param(dict.fromkeys(FILES, "0"), "files: Expected `object`, got `str`", id="texts"),
    ],
)
def test_load_inspector_list_of_parts_damaged_is_refused(
    tiny_bundle: Path, files: object, reason: str
) -> None:
    path = tiny_bundle / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "files": files}), "utf-8")
    refuse(tiny_bundle, reason, "card.json")


def test_load_inspector_card_beside_of_another_inspector_is_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "card.json"
    card = json.loads(path.read_bytes())
    card["accept_classes"] = ["good", "scratch"]
    path.write_text(json.dumps(card), "utf-8")
    refuse(tiny_bundle, "differs from the card in inspector.onnx", "card.json")


def test_load_inspector_something_between_graph_and_card_is_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "inspector.onnx"
    graph = graph_of(tiny_bundle)
    # an unknown field, which every ONNX reader steps over
    path.write_bytes(graph + b"\xf8\x3f\x01" + path.read_bytes()[len(graph) :])
    refuse(path, "something besides the card was added")


@needs_links
@pytest.mark.parametrize(
    "name", ["model.pkl", "setup.py", "inspector.onnx.data", "sitecustomize.py"]
)
def test_load_inspector_other_files_in_the_folder_are_never_read(
    tiny_bundle: Path, name: str
) -> None:
    image = random_images(1, 40, 50)[0]
    expected = load_inspector(tiny_bundle).predict(image)[0].probability
    os.mkfifo(tiny_bundle / name)  # whoever opened it would wait for ever
    np.testing.assert_array_equal(
        load_inspector(tiny_bundle).predict(image)[0].probability, expected
    )


class Program:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("file", ["inspector.onnx", "weights.safetensors", "card.json"])
@pytest.mark.parametrize("packed", [False, True], ids=["pickle", "pickle_in_zip"])
def test_load_inspector_program_for_a_file_is_refused_and_not_run(
    tiny_bundle: Path, tmp_path: Path, file: str, packed: bool
) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps(Program(mark))
    pickle.loads(content).close()
    assert mark.exists(), "the program does what it should not be let do"
    mark.unlink()
    if packed:  # as PyTorch packs a state dict
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packer:
            packer.writestr("archive/data.pkl", content)
        content = archive.getvalue()
    (tiny_bundle / file).write_bytes(content)
    refuse(tiny_bundle, "not an ONNX file|its length or SHA-256|not JSON", file)
    assert not mark.exists()


WEIGHTS = {
    "empty": b"",
    "pickle": pickle.dumps({"weight": [1.0] * 100}),
    "zeros": bytes(100),
    "header_longer_than_the_file": (2**63).to_bytes(8, "little") + b"{}",
    "header_nested_deeply": (10**6).to_bytes(8, "little") + b"[" * 10**6,
    "tensor_beyond_the_file": (52).to_bytes(8, "little")
    + b'{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}',
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=list(WEIGHTS))
def test_load_inspector_in_torch_hostile_weights_are_refused(
    tiny_bundle: Path, content: bytes
) -> None:
    (tiny_bundle / "weights.safetensors").write_bytes(content)
    forge(tiny_bundle)
    refuse(tiny_bundle, "torch refuses|not a safetensors file", runtime="torch")


@pytest.mark.parametrize("path", ["a\0b", "nothing"])
def test_load_inspector_path_of_nothing_is_refused(path: str) -> None:
    with pytest.raises(InvalidInspector, match=r"expected an inspector folder|cannot be read"):
        load_inspector(path)


def test_score_broken_inspector_ends_with_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    forge(tiny_bundle, graph_of(tiny_bundle)[:-1000])
    save_images(tmp_path / "files", random_images(1, 30, 20))
    table = tmp_path / "x.csv"
    command = [sys.executable, "-m", "sihwa", "score", str(tiny_bundle)]
    command += [str(tmp_path / "files"), "--out", str(table)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {tiny_bundle}")
    assert ended.stderr.count("\n") == 1
    assert not table.exists()
