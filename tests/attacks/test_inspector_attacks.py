"""Hostile and damaged inspector folders: parts missing, swapped, tampered with, or no files."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sihwa.errors import InvalidInspector
from sihwa.inspector import load_inspector
from tests.attacks.forge import (
    external,
    forge,
    forge_model,
    graph_of,
    refuse,
    reseal,
    safetensors,
    tensors,
)
from tests.helpers import random_images, save_images

PARTS = ["inspector.onnx", "card.json", "weights.safetensors", "README.md"]
needs_links = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no FIFOs, and links need rights"
)


@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_part_missing_is_refused(tiny_bundle: Path, part: str) -> None:
    (tiny_bundle / part).unlink()
    refuse(tiny_bundle, f"expected an inspector folder, found no {part}")


@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_part_is_a_folder_is_refused(tiny_bundle: Path, part: str) -> None:
    (tiny_bundle / part).unlink()
    (tiny_bundle / part).mkdir()
    refuse(tiny_bundle, "expected a plain file, found a folder", part)


@needs_links
@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_part_is_a_fifo_is_refused_without_waiting(
    tiny_bundle: Path, part: str
) -> None:
    (tiny_bundle / part).unlink()
    os.mkfifo(tiny_bundle / part)
    refuse(tiny_bundle, "expected a plain file", part)


@needs_links
def test_load_inspector_given_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inspector.onnx")
    refuse(tmp_path / "inspector.onnx", "found a special file")


@needs_links
@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_part_is_a_link_out_of_the_folder_is_refused(
    tiny_bundle: Path, part: str
) -> None:
    (tiny_bundle / part).rename(tiny_bundle.parent / part)
    (tiny_bundle / part).symlink_to(f"../{part}")
    refuse(tiny_bundle, "expected a plain file, found a folder, a link", part)


@needs_links
def test_load_inspector_part_is_a_link_to_itself_is_refused(tiny_bundle: Path) -> None:
    (tiny_bundle / "README.md").unlink()
    (tiny_bundle / "README.md").symlink_to("README.md")
    refuse(tiny_bundle, "expected a plain file", "README.md")


@pytest.mark.parametrize("part", PARTS)
def test_load_inspector_part_of_ten_gigabytes_of_nothing_is_refused(
    tiny_bundle: Path, part: str
) -> None:
    with (tiny_bundle / part).open("wb") as file:
        file.truncate(10 * 2**30)
    refuse(tiny_bundle, "bytes are more than|its length or SHA-256", part)


@pytest.mark.parametrize("part", [part for part in PARTS if part != "card.json"])
@pytest.mark.parametrize("where", ["first", "middle", "last", "added", "cut"])
def test_load_inspector_byte_of_a_part_changed_is_refused(
    tiny_bundle: Path, part: str, where: str
) -> None:
    content = bytearray((tiny_bundle / part).read_bytes())
    if where == "added":
        content += b"\n"
    elif where == "cut":
        del content[-1]
    else:
        content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    (tiny_bundle / part).write_bytes(content)
    refuse(tiny_bundle, ".", part)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param(None, "parts: expected the SHA-256", id="none"),
        pytest.param([], "parts: expected the SHA-256", id="a_list"),
        pytest.param({"inspector.onnx": {}}, "parts: expected the SHA-256", id="some_missing"),
        pytest.param(dict.fromkeys(PARTS, "0"), "parts: expected the SHA-256", id="one_more"),
    ],
)
def test_load_inspector_list_of_parts_damaged_is_refused(
    tiny_bundle: Path, parts: object, reason: str
) -> None:
    path = tiny_bundle / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "parts": parts}), "utf-8")
    refuse(tiny_bundle, reason, "card.json")


@pytest.mark.parametrize("said", [None, 0, "0", [], {}, {"bytes": 684152.0}], ids=repr)
def test_load_inspector_hash_of_a_part_mistyped_is_refused(tiny_bundle: Path, said: object) -> None:
    path = tiny_bundle / "card.json"
    card = json.loads(path.read_bytes())
    card["parts"]["weights.safetensors"] = said
    path.write_text(json.dumps(card), "utf-8")
    refuse(tiny_bundle, "its length or SHA-256 is not the one in card.json", "weights.safetensors")


def test_load_inspector_card_beside_of_another_inspector_is_refused(tiny_bundle: Path) -> None:
    path = tiny_bundle / "card.json"
    card = json.loads(path.read_bytes())
    card["accept_classes"] = ["good", "scratch"]
    path.write_text(json.dumps(card), "utf-8")
    refuse(tiny_bundle, "says something else than the card in inspector.onnx", "card.json")


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


def test_load_inspector_zip_of_the_folder_is_refused(tiny_bundle: Path) -> None:
    archive = tiny_bundle.parent / "inspector.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(tiny_bundle / "inspector.onnx", "inspector.onnx")
    refuse(archive, "not an inspector's graph")


WEIGHTS = {
    "empty": (b"", "promise a header of 0 bytes"),
    "pickle": (pickle.dumps({"weight": [1.0] * 100}), "promise a header of"),
    "zip": (b"PK\x03\x04" + bytes(100), "promise a header of"),
    "zeros": (bytes(100), "promise a header of 0 bytes"),
    "header_longer_than_the_file": (safetensors(b"{}", length=2**63), "promise a header of"),
    "header_just_too_long": (safetensors(b"{}", length=3), "promise a header of 3 bytes"),
    "header_no_json": (safetensors(b"{]"), "its header does not list tensors"),
    "header_a_list": (safetensors(b"[]"), "its header does not list tensors"),
    "header_lists_a_tensor_twice": (
        safetensors(tensors(a=(0, 4))[:-1] + b"," + tensors(a=(4, 6), b=(0, 4))[1:], bytes(6)),
        "does not list tensors .a key comes twice among .'a', 'b'",
    ),
    "header_tells_a_place_twice": (
        safetensors(tensors(a=(0, 4)).replace(b'"shape"', b'"shape": [1], "shape"'), bytes(4)),
        "does not list tensors .a key comes twice",
    ),
    "header_utf16": (
        safetensors(tensors(a=(0, 4)).decode().encode("utf-16"), bytes(4)),
        "does not list tensors",
    ),
    "header_nested_deeply": (safetensors(b"[" * 10**6), "its header does not list tensors"),
    "header_without_offsets": (safetensors(b'{"a":{}}'), "its header does not list tensors"),
    "header_of_unknown_type": (
        safetensors(b'{"a":{"dtype":"PY","shape":[],"data_offsets":[0,0]}}'),
        "its header does not list tensors",
    ),
    "header_of_huge_shape": (
        safetensors(b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}', b"0000"),
        "its header does not list tensors",
    ),
    "tensors_overlap": (
        safetensors(tensors(a=(0, 4), b=(2, 6)), bytes(6)),
        "starts at byte 2 of the data, not at 4",
    ),
    "tensors_with_a_gap": (safetensors(tensors(a=(0, 4), b=(5, 6)), bytes(6)), "starts at byte 5"),
    "tensors_beyond_the_file": (safetensors(tensors(a=(0, 9)), bytes(6)), "take 9 bytes, .* has 6"),
    "tensors_backwards": (safetensors(tensors(a=(4, 0)), bytes(4)), "does not list tensors"),
    "data_unclaimed": (safetensors(tensors(a=(0, 4)), bytes(6)), "take 4 bytes, the file has 6"),
}


@pytest.mark.parametrize(("content", "reason"), WEIGHTS.values(), ids=list(WEIGHTS))
def test_load_inspector_hostile_weights_are_refused(
    tiny_bundle: Path, content: bytes, reason: str
) -> None:
    (tiny_bundle / "weights.safetensors").write_bytes(content)
    reseal(tiny_bundle)
    refuse(tiny_bundle, f"not a safetensors file: .*{reason}", "weights.safetensors")


def test_load_inspector_path_with_a_null_character_is_refused() -> None:
    with pytest.raises(InvalidInspector, match=r"expected an inspector folder|cannot be read"):
        load_inspector("a\0b")


def _truncate(folder: Path) -> None:
    forge(folder, graph_of(folder)[:-1000])


BROKEN: dict[str, Callable[[Path], object]] = {
    "truncated_graph": _truncate,
    "data_elsewhere": lambda folder: forge_model(folder, lambda m: external(m, "/etc/passwd")),
    "runtime_refuses": lambda folder: forge_model(folder, lambda m: m.graph.initializer.pop()),
    "readme_of_another": lambda folder: (folder / "README.md").write_bytes(b""),
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=list(BROKEN))
def test_score_broken_inspector_ends_with_one_line(
    tiny_bundle: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(tiny_bundle)
    save_images(tmp_path / "parts", random_images(1, 30, 20))
    table = tmp_path / "x.csv"
    command = [sys.executable, "-m", "sihwa", "score"]
    ended = subprocess.run(
        [*command, tiny_bundle, tmp_path / "parts", "--out", table],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"error: {tiny_bundle}")
    assert ended.stderr.count("\n") == 1
    assert not table.exists()
