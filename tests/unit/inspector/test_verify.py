import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import sihwa.inspector.parity
import sihwa.inspector.verify
from sihwa.errors import ConfigError, DatasetError, InvalidInspector, RuntimeUnavailable
from sihwa.images import read_image
from sihwa.inspector import (
    REFERENCE,
    Bundle,
    Card,
    Outputs,
    Runtime,
    RuntimeChoice,
    create_runtime,
    load_inspector,
    read_bundle,
    write_bundle,
)
from sihwa.inspector.runtime.openvino_runtime import OpenVinoRuntime
from sihwa.inspector.verify import read_verification, verification_path, verify_inspector
from tests.helpers import random_images, save_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of two sizes, in a folder with a Korean name."""
    save_images(tmp_path / "부품", random_images(9, 60, 50, seed=1))
    save_images(tmp_path / "부품", random_images(5, 90, 70, seed=2), prefix="large ")
    return tmp_path / "부품"


def _disturb(monkeypatch: pytest.MonkeyPatch, runtime: str, by: float) -> None:
    """Add an error to the probabilities of one runtime."""
    original = create_runtime

    def create(bundle: object, choice: RuntimeChoice) -> object:
        loaded = original(bundle, choice)  # type: ignore[arg-type]
        if choice.runtime == runtime:
            run = loaded.run

            def off(image: NDArray[np.uint8]) -> Outputs:
                outputs = run(image)
                off_by = np.array([by, 0, 0], np.float32)
                return outputs._replace(probability=outputs.probability + off_by)

            loaded.run = off  # type: ignore[method-assign]
        return loaded

    monkeypatch.setattr(sihwa.inspector.verify, "create_runtime", create)


def test_verify_inspector_lets_auto_take_the_fastest(tiny_bundle: Path, folder: Path) -> None:
    assert "no other is proven" in load_inspector(tiny_bundle).explanation
    found = verify_inspector(tiny_bundle, folder, devices=["cpu", "cpu"])
    reference = found.proof[0]
    assert reference.choice == REFERENCE
    assert (reference.greatest_difference, reference.greatest_unknown_difference) == (0.0, 0.0)
    assert len({proof.choice for proof in found.proof}) == len(found.proof)
    # 14 images, each in its own and three other sizes
    assert {proof.images for proof in found.proof} == {56}
    assert all(proof.proven for proof in found.proof)
    fastest = max(found.proof, key=lambda proof: proof.images_per_second_1 or 0)
    inspector = load_inspector(tiny_bundle)
    assert inspector.runtime.choice == fastest.choice
    assert "verified in 56 comparisons, fastest of" in inspector.explanation


def test_verify_inspector_writes_beside_the_folder_what_it_reads_back(
    tiny_bundle: Path, folder: Path
) -> None:
    before = {path.name: path.read_bytes() for path in tiny_bundle.iterdir()}
    found = verify_inspector(tiny_bundle, folder)
    assert {path.name: path.read_bytes() for path in tiny_bundle.iterdir()} == before
    assert found.written == tiny_bundle.parent / "inspector.verified.json"
    assert "부품" not in found.written.read_text("utf-8")  # no path of this machine
    read = read_verification(tiny_bundle, read_bundle(tiny_bundle))
    assert [one.as_dict() for one in read.proof] == [one.as_dict() for one in found.proof]
    assert not read.note


def test_verify_inspector_limit_and_unreadable_images_are_counted(
    tiny_bundle: Path, folder: Path
) -> None:
    (folder / "000 cut.png").write_bytes(b"\x89PNG\r\n")
    found = verify_inspector(tiny_bundle, folder, limit=5)
    assert [Path(image.path).name for image in found.unreadable] == ["000 cut.png"]
    assert (found.count, found.left_out) == (4, 10)
    assert json.loads(found.written.read_text())["images"] == 4


def test_verify_inspector_runtime_that_differs_is_refused_afterwards(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _disturb(monkeypatch, "openvino", by=2e-4)
    found = verify_inspector(tiny_bundle, folder)
    refused = {proof.choice: proof for proof in found.proof if not proof.proven}
    assert {choice.runtime for choice in refused} == {"openvino"}
    assert all("부품" in proof.worst_path for proof in refused.values())
    monkeypatch.undo()
    assert load_inspector(tiny_bundle).runtime.choice not in refused
    with pytest.raises(RuntimeUnavailable, match="cpu fp32: refused"):
        load_inspector(tiny_bundle, runtime="openvino", precision="fp32")


def test_verify_inspector_without_images_asks_for_some(tiny_bundle: Path) -> None:
    with pytest.raises(DatasetError, match=r"keeps no images.*sihwa verify .* FOLDER"):
        verify_inspector(tiny_bundle)
    with pytest.raises(DatasetError, match="keeps no images"):
        verify_inspector(tiny_bundle / "inspector.onnx")


@pytest.mark.parametrize("kind", ["archive", "one image"])
def test_verify_inspector_takes_an_archive_or_one_image(
    tiny_bundle: Path, tmp_path: Path, folder: Path, kind: str
) -> None:
    source = next(iter(sorted(folder.iterdir())))
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
            archive.write(source, "one.png")
        source = tmp_path / "parts.zip"
    assert verify_inspector(tiny_bundle, source).proof[0].images == 4


def test_verify_inspector_graph_alone_has_its_own_file(tiny_bundle: Path, folder: Path) -> None:
    graph = tiny_bundle / "inspector.onnx"
    found = verify_inspector(graph, folder)
    assert found.written == tiny_bundle / "inspector.onnx.verified.json"
    assert {proof.runtime for proof in found.proof} == {"onnxruntime", "openvino"}
    assert "verified in" in load_inspector(graph).explanation
    assert "no other is proven" in load_inspector(tiny_bundle).explanation


def test_verify_inspector_runtime_fails_at_one_size_is_an_error(
    tiny_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OpenVinoRuntime.run

    def fail(self: OpenVinoRuntime, image: NDArray[np.uint8]) -> Outputs:
        if image.shape[1] > 5:
            raise RuntimeError("out of\nscratch")
        return run(self, image)

    monkeypatch.setattr(OpenVinoRuntime, "run", fail)
    with pytest.raises(InvalidInspector, match=r"openvino cannot run .* pixels: out of scratch$"):
        verify_inspector(tiny_bundle, folder)
    assert not verification_path(tiny_bundle).exists()


def test_verify_inspector_unusable_device_keeps_the_old_result(
    tiny_bundle: Path, folder: Path
) -> None:
    before = verify_inspector(tiny_bundle, folder).written.read_bytes()
    with pytest.raises(RuntimeUnavailable, match="some runtime uses here, got cuda:99"):
        verify_inspector(tiny_bundle, folder, devices=["cuda:99"])
    with pytest.raises(ConfigError, match="got 'gpu'"):
        verify_inspector(tiny_bundle, folder, devices=["gpu"])
    assert verification_path(tiny_bundle).read_bytes() == before


def test_verify_inspector_times_no_close_calls_if_possible(
    tiny_bundle: Path,
    tiny_card: Card,
    tiny_graph: bytes,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = sorted(folder.iterdir())
    kept_ones = io.BytesIO()
    with zipfile.ZipFile(kept_ones, "w") as archive:
        for place, path in enumerate(names[:6]):
            archive.write(path, f"{place:03d}.png")
    inspector = tiny_bundle.with_name("with images")
    bundle = Bundle(tiny_card, tiny_graph, read_bundle(tiny_bundle).weights)
    write_bundle(inspector, bundle, kept_ones.getvalue())
    timed: list[NDArray[np.uint8]] = []

    def measure(runtimes: Sequence[Runtime], image: NDArray[np.uint8]) -> list[tuple[float, float]]:
        timed.append(image)
        return [(1.0, 1.0)] * len(runtimes)

    monkeypatch.setattr(sihwa.inspector.parity, "measure_speed", measure)
    verify_inspector(inspector)
    verify_inspector(inspector, folder)
    kept, given = (list(images) for images in timed)
    verify_inspector(inspector, limit=1)  # a close call: it is better than none
    np.testing.assert_array_equal(timed[-1], read_image(str(names[0]))[None])
    assert [len(kept), len(given)] == [3, 9]  # the five of another size are not timed
    for image, path in zip([*kept, *given], [*names[3:6], *names[:9]], strict=True):
        np.testing.assert_array_equal(image, read_image(str(path)))
