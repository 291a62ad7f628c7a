"""Hostile INT8 models and images: the files that an inspector folder need not have."""

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from PIL import Image

from sihwa.errors import InvalidInspector, SihwaError
from sihwa.inspector import Bundle, Card, MarginFacts, load_inspector, read_bundle, write_bundle
from sihwa.inspector.verify import verify_inspector
from tests.attacks.forge import Json, custom_node, external, forge, refuse, reseal
from tests.helpers import changed, int8_facts, random_images

INT8 = "inspector.int8.onnx"
IMAGES = "images.zip"
Model = onnx.ModelProto


def packed(*contents: bytes, names: str = "{:03d}.png") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for place, content in enumerate(contents):
            file.writestr(names.format(place), content)
    return archive.getvalue()


def png(seed: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(random_images(1, 40, 30, seed)[0]).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def full_bundle(tiny_bundle: Path, tiny_card: Card, tiny_graph: bytes, tmp_path: Path) -> Path:
    """An inspector folder with images and an INT8 model, for which the graph stands in."""
    facts = int8_facts(tiny_graph, margin=MarginFacts(lead=1.0, unknown=0.1))
    folder = tmp_path / "full"
    weights = (tiny_bundle / "weights.safetensors").read_bytes()
    bundle = Bundle(changed(tiny_card, int8=facts), tiny_graph, weights, tiny_graph)
    write_bundle(folder, bundle, packed(png(1), png(2)))
    return folder


def forge_int8_model(folder: Path, change: Callable[[Model], Any]) -> None:
    """Change the INT8 model, and make all hashes fit again."""
    model = onnx.load_from_string((folder / INT8).read_bytes())
    change(model)
    content = model.SerializeToString(deterministic=True)
    (folder / INT8).write_bytes(content)

    def name(card: Json) -> None:
        card["int8"].update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

    forge(folder, change=name)


def test_load_inspector_full_folder_is_taken(full_bundle: Path) -> None:
    bundle = read_bundle(full_bundle)
    assert bundle.int8_model is not None
    found = verify_inspector(full_bundle)
    assert ("openvino", "int8") in {(proof.runtime, proof.precision) for proof in found.proof}
    assert load_inspector(full_bundle, precision="int8").runtime.choice.precision == "int8"


INT8S: dict[str, tuple[Callable[[Model], Any], str]] = {
    "custom_operator": (lambda m: m.graph.node.append(custom_node()), "operator 'Run'"),
    "data_elsewhere": (lambda m: external(m, "../secret"), "TensorProto has data_location"),
    "metadata": (lambda m: m.metadata_props.add(key="k", value="v"), "none as metadata"),
    "output_missing": (lambda m: m.graph.output.pop(), "expected .*'unknown'"),
}


@pytest.mark.parametrize(("change", "reason"), INT8S.values(), ids=list(INT8S))
def test_load_inspector_hostile_int8_model_is_refused(
    full_bundle: Path, change: Callable[[Model], Any], reason: str
) -> None:
    forge_int8_model(full_bundle, change)
    refuse(full_bundle, reason, INT8)


def test_load_inspector_int8_model_replaced_with_its_hash_in_card_json_is_refused(
    full_bundle: Path,
) -> None:
    path = full_bundle / INT8
    model = onnx.load_from_string(path.read_bytes())
    model.graph.name = "another"
    path.write_bytes(model.SerializeToString())
    reseal(full_bundle)
    refuse(full_bundle, "expected the INT8 model that the card in inspector.onnx names", INT8)


def test_load_inspector_int8_model_that_the_card_does_not_name_is_refused(
    tiny_bundle: Path, tiny_graph: bytes
) -> None:
    (tiny_bundle / INT8).write_bytes(tiny_graph)
    reseal(tiny_bundle)
    refuse(tiny_bundle, "expected no INT8 model", INT8)


@pytest.mark.parametrize("file", [INT8, IMAGES])
def test_load_inspector_part_that_card_json_does_not_list_is_refused(
    tiny_bundle: Path, tiny_graph: bytes, file: str
) -> None:
    (tiny_bundle / file).write_bytes(tiny_graph if file == INT8 else packed(png(1)))
    refuse(tiny_bundle, "card.json does not list it", file)
    with pytest.raises(InvalidInspector, match=r"card\.json does not list it"):
        verify_inspector(tiny_bundle)


def test_load_inspector_int8_model_gone_from_folder_and_list_is_refused(full_bundle: Path) -> None:
    (full_bundle / INT8).unlink()
    reseal(full_bundle)
    refuse(full_bundle, "expected the INT8 model .* found another or none", INT8)


@pytest.mark.parametrize("file", [INT8, IMAGES])
@pytest.mark.parametrize("kind", ["byte changed", "cut", "ten gigabytes of nothing", "missing"])
def test_load_inspector_optional_part_damaged_is_refused(
    full_bundle: Path, file: str, kind: str
) -> None:
    path = full_bundle / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-1] if kind == "cut" else content)
    if kind.startswith("ten"):
        os.truncate(path, 10 * 2**30)
    if kind == "missing":
        path.unlink()
    refuse(full_bundle, "missing, but card.json lists|its length or SHA-256 is not", file)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("file", [INT8, IMAGES])
def test_load_inspector_optional_file_is_a_link_is_refused(full_bundle: Path, file: str) -> None:
    (full_bundle / file).rename(full_bundle.parent / file)
    (full_bundle / file).symlink_to(f"../{file}")
    refuse(full_bundle, "expected a plain file", file)


INT8_CARDS: dict[str, tuple[object, str]] = {
    "a_text": ("yes", "got `str` - at `.*int8"),
    "empty": ({}, "missing required field `sha256`"),
    "flips_negative": ({"allowed_flips": -1}, "int8.allowed_flips"),
    "margin_a_number": ({"margin": 1.0}, "int8.margin"),
    "margin_negative": ({"margin": {"lead": -1.0, "unknown": 0.1}}, "int8.margin.lead"),
    "margin_with_more": ({"margin": {"lead": 1.0, "unknown": 0.1, "x": 1}}, "unknown field `x`"),
    "second_passes_beyond_all": ({"second_passes": 1.5}, "int8.second_passes"),
}


@pytest.mark.parametrize(("to", "reason"), INT8_CARDS.values(), ids=list(INT8_CARDS))
def test_load_inspector_card_s_int8_model_damaged_is_refused(
    full_bundle: Path, to: object, reason: str
) -> None:
    def change(card: Json) -> None:
        card["int8"] = {**card["int8"], **to} if isinstance(to, dict) and to else to

    forge(full_bundle, change=change)
    refuse(full_bundle, reason, "inspector.onnx")


def _bomb() -> bytes:
    """Return a PNG of a few kilobytes that claims 60,000 × 60,000 pixels."""
    content = bytearray(png(1))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "no_archive": (b"\x00" * 100, "not a readable .zip"),
    "empty": (packed(), "no image found"),
    "bomb_of_pixels": (packed(_bomb()), "the only image cannot be read: .*pixels"),
    "scripts": (packed(b"import os", names="{}.py"), "no image found"),
    "text_as_images": (packed(b"text", b"text"), "none of 2 images can be read"),
}


@pytest.mark.parametrize(("content", "reason"), ARCHIVES.values(), ids=list(ARCHIVES))
def test_verify_hostile_images_end_with_one_line(
    full_bundle: Path, content: bytes, reason: str
) -> None:
    (full_bundle / IMAGES).write_bytes(content)
    reseal(full_bundle)
    with pytest.raises(SihwaError, match=reason) as caught:
        verify_inspector(full_bundle)
    assert str(caught.value).isprintable()
    assert not list(full_bundle.parent.glob("*.verified.json"))


def test_verify_member_named_like_a_path_writes_nothing(full_bundle: Path) -> None:
    (full_bundle / IMAGES).write_bytes(packed(png(1), names="../../{:03d}.png"))
    reseal(full_bundle)
    before = sorted(full_bundle.parent.rglob("*"))
    found = verify_inspector(full_bundle)
    assert set(full_bundle.parent.rglob("*")) - set(before) == {found.written}
