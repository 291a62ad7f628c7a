"""The examples in Python, Node.js and C++ decide as the trained network does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from sihwa.inspector import (
    FORMAT_VERSION,
    Bundle,
    Card,
    MarginFacts,
    TopClassFacts,
    card_policy,
    load_inspector,
    write_bundle,
)
from sihwa.inspector.bundle import CARD_NAME, FILES, FIXED_NAME, OPTIONAL_FILES
from sihwa.model import Network
from tests.attacks.forge import forge_model
from tests.golden.smallest import FOLDER, IMAGE
from tests.helpers import changed, int8_facts, parity_proof, random_images

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZES = (
    (1, 1), (9, 31), (40, 120), (63, 65), (64, 64), (97, 53), (200, 200), (301, 77), (240, 640),
    (600, 401),
)  # fmt: skip
"""Height and width around the network's input of 64: enlarged, kept, reduced, odd, not square."""

Row = dict[str, Any]
Client = tuple[str, ...]
Reference = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="session")
def python_client() -> Client:
    return sys.executable, str(EXAMPLES / "python" / "inspect_one.py")


@pytest.fixture(scope="session")
def node_client() -> Client:
    if shutil.which("node") is None:
        pytest.skip("Node.js 18 or newer is missing")
    if not (EXAMPLES / "node" / "node_modules" / "onnxruntime-node").is_dir():
        pytest.skip("the example's packages are missing: cd examples/node && npm ci")
    return "node", str(EXAMPLES / "node" / "inspect.mjs")


@pytest.fixture(scope="session")
def cpp_client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Compile the C++ example as in examples/README.md, with the headers in OpenVINO's wheel."""
    compiler = shutil.which("g++")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("the C++ example is built with g++ on Linux")
    headers = "#include <nlohmann/json.hpp>\n#include <openssl/sha.h>\n"
    probe = [compiler, "-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
    if subprocess.run(probe, input=headers, capture_output=True, encoding="utf-8").returncode:
        pytest.skip("the C++ example needs: apt-get install nlohmann-json3-dev libssl-dev")
    folder, place = tmp_path_factory.mktemp("cpp"), Path(openvino.__file__).parent
    command: list[str | Path] = [
        compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", EXAMPLES / "cpp" / "inspect.cpp",
        "-o", folder / "inspect", "-isystem", place / "include",
        *place.glob("libs/libopenvino.so.*"), "-lcrypto", f"-Wl,-rpath,{place / 'libs'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return (str(folder / "inspect"),)


@pytest.fixture(params=["python", "node", "cpp"])
def client(request: pytest.FixtureRequest) -> Client:
    """Return the command that starts an example."""
    words: Client = request.getfixturevalue(f"{request.param}_client")
    return words


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    drawn = [image for seed, size in enumerate(SIZES) for image in random_images(10, *size, seed)]
    return [*drawn, np.full((30, 20, 3), 90, np.uint8)]


@pytest.fixture(scope="module")
def paths(images: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("사진 (1조)")
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03d}.ppm")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def reference(images: list[NDArray[np.uint8]], tiny_network: Network) -> Reference:
    """Probabilities (N, K) and unknown scores (N,) of the PyTorch network."""
    with torch.no_grad():
        outputs = [tiny_network(torch.from_numpy(image[None])) for image in images]
    return (
        np.concatenate([one.probability.numpy() for one in outputs]),
        np.concatenate([one.unknown.numpy() for one in outputs]),
    )


@pytest.fixture
def inspector(tiny_bundle: Path, tiny_card: Card, tiny_graph: bytes, reference: Reference) -> Path:
    """Return an inspector with all files but one that sends half of the images to review.

    All decisions occur. The FP32 graph stands in for the INT8 model.
    """
    policy = TopClassFacts(unknown_threshold=float(np.median(reference[1])))
    facts = int8_facts(tiny_graph, margin=MarginFacts(lead=1.0, unknown=0.1))
    card = changed(tiny_card, policy=policy, int8=facts, proof=(parity_proof("torch"),))
    weights = (tiny_bundle / "weights.safetensors").read_bytes()
    folder = tiny_bundle.with_name("검사기 1")
    bundle = Bundle(card, tiny_graph, weights, tiny_graph, b"a table")
    write_bundle(folder, bundle, b"a .zip of images")
    optional = set(OPTIONAL_FILES) - {FIXED_NAME}  # no program of the line reads it by itself
    assert {path.name for path in folder.iterdir()} == {*FILES, CARD_NAME, *optional}
    return folder


def run(client: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [*client, *arguments], capture_output=True, encoding="utf-8", env=environment, timeout=300
    )


def rows_of(client: Client, inspector: Path, paths: list[str]) -> list[Row]:
    done = run(client, str(inspector / "inspector.onnx"), *paths)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["image"] for row in rows] == paths
    return rows


def test_example_images_of_ten_sizes_agree_with_the_network(
    client: Client,
    inspector: Path,
    paths: list[str],
    images: list[NDArray[np.uint8]],
    reference: Reference,
) -> None:
    """Compare with the PyTorch network and with Sihwa running the same inspector."""
    rows = rows_of(client, inspector, paths)
    difference = np.abs(np.array([row["probability"] for row in rows]) - reference[0]).max()
    assert difference <= 1e-4
    np.testing.assert_allclose([row["unknown"] for row in rows], reference[1], rtol=1e-3, atol=1e-4)
    policy = card_policy(load_inspector(inspector).card)
    assert [(row["decision"], row["reason"]) for row in rows] == [
        ("review", "all pixels are the same")
        if len(np.unique(image.reshape(-1, 3), axis=0)) == 1
        else (one.outcome, one.reason)
        for image, one in zip(images, policy.decide(*reference), strict=True)
    ]
    expected = load_inspector(inspector).predict(images)
    assert [row["top_class"] for row in rows] == [one.top_class for one in expected]
    assert [row["box"] for row in rows] == [one.box and list(one.box) for one in expected]
    assert {row["decision"] for row in rows} == {"accept", "reject", "review"}


def test_example_worked_in_the_document_is_reproduced(client: Client, tmp_path: Path) -> None:
    height, width, _ = IMAGE.shape
    path = tmp_path / "six pixels.ppm"
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + IMAGE.tobytes())
    [row] = rows_of(client, FOLDER, [str(path)])
    assert row["probability"] == pytest.approx([0.967705, 0.032295], abs=1e-6)
    assert row["unknown"] == pytest.approx(0.063099, abs=1e-6)
    assert (row["decision"], row["reason"]) == ("accept", "top class is good")
    assert row["box"] == [0, 0, 3, 2]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"no image", id="text"),
        pytest.param(b"P6 9 9 255\n12", id="cut"),
        pytest.param(b"P6 99999999 99999999 255\n12", id="huge"),
        pytest.param(b"P6 0 9 255\n", id="no pixels"),
    ],
)
def test_example_damaged_image_goes_to_review(
    client: Client, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "사진.ppm"
    if content is not None:
        path.write_bytes(content)
    [row] = rows_of(client, FOLDER, [str(path)])
    assert (row["decision"], row["reason"]) == ("review", "unreadable")
    assert row["error"]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_example_nan_or_inf_goes_to_review_without_top_class(
    client: Client, tmp_path: Path, number: float
) -> None:
    folder = tmp_path / "inspector"
    shutil.copytree(FOLDER, folder)

    def spoil(model: onnx.ModelProto) -> None:
        [bias] = [tensor for tensor in model.graph.initializer if tensor.name == "bias"]
        bias.CopyFrom(numpy_helper.from_array(np.array([number, 0], np.float32), "bias"))

    forge_model(folder, spoil)
    path = tmp_path / "part.ppm"
    path.write_bytes(b"P6\n3 2\n255\n" + IMAGE.tobytes())
    [row] = rows_of(client, folder, [str(path)])
    assert row == {
        "image": str(path),
        "decision": "review",
        "reason": "the network gave NaN or inf",
    }
    [own] = load_inspector(folder).predict(IMAGE)
    assert (own.decision.outcome, own.decision.reason) == (row["decision"], row["reason"])
    assert (own.top_class, own.box, own.evidence.size) == (None, None, 0)


def change_graph(folder: Path) -> None:
    graph = bytearray((folder / "inspector.onnx").read_bytes())
    graph[len(graph) // 3] ^= 1
    (folder / "inspector.onnx").write_bytes(graph)


def raise_format_version(folder: Path) -> None:
    # in the graph and beside it: an example reads one of the two, before it checks any hash
    for name, quote in (
        ("inspector.onnx", '"format_version":'),
        ("card.json", '"format_version": '),
    ):
        content = (folder / name).read_bytes()
        now, newer = (f"{quote}{version}".encode() for version in (FORMAT_VERSION, 99))
        assert content.count(now) == 1
        (folder / name).write_bytes(content.replace(now, newer))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(change_graph, id="tampered"),
        pytest.param(raise_format_version, id="newer"),
        pytest.param(lambda folder: (folder / "inspector.onnx").unlink(), id="missing"),
        pytest.param(lambda folder: (folder / "inspector.onnx").write_bytes(b""), id="empty"),
    ],
)
def test_example_damaged_inspector_is_refused(
    client: Client, tiny_bundle: Path, damage: Callable[[Path], object]
) -> None:
    damage(tiny_bundle)
    done = run(client, str(tiny_bundle / "inspector.onnx"))
    assert (done.returncode, done.stdout) == (1, "")
    # one line that names the folder; the runtime may have put warnings of its own before it
    assert str(tiny_bundle) in done.stderr.splitlines()[-1]
