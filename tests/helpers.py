"""Images, configs and limits that many tests share."""

import os
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sihwa.inspector import (
    Card,
    DatasetFacts,
    GraphFacts,
    Int8Facts,
    MarginFacts,
    NetworkFacts,
    ParityProof,
    TopClassFacts,
    WeightsFacts,
    processor_of,
)
from sihwa.inspector.runtime.registry import runtime_version
from sihwa.model import ModelConfig
from sihwa.storage import sha256_of_bytes

CLASSES = ("good", "scratch", "얼룩")


def tiny_config(**changes: object) -> ModelConfig:
    """Return the settings of a network made for tests: 0.3 million weights, random."""
    given = {
        "name": "tiny",
        "architecture": "test_efficientnet",
        "weights": "none",
        "input_size": 64,
        "stages": 0,
    }
    return ModelConfig(**{**given, **changes})  # type: ignore[arg-type]


def made_card(**changes: object) -> Card:
    """Return a card of three classes, with other values where given."""
    card = Card(
        classes=CLASSES,
        accept_classes=("good",),
        policy=TopClassFacts(unknown_threshold=None),
        temperature=0.5,
        network=NetworkFacts(
            name="tiny",
            architecture="test_efficientnet",
            input_size=64,
            stages=0,
            embedding_width=256,
        ),
        weights=WeightsFacts(source="none", licence="none", sha256="0" * 64),
        dataset=DatasetFacts(name="made", fingerprint="0" * 64, licence="none", count={}),
        training={"seed": 0},
        metrics={},
        graph=GraphFacts(sha256="0" * 64, bytes=1, opset=18),
        created="2026-01-02T03:04:05+00:00",
        code_version="0",
    )
    return changed(card, **changes)


def changed(card: Card, **changes: object) -> Card:
    """Return the card with other values."""
    return msgspec.structs.replace(card, **changes)


def int8_facts(int8_model: bytes = b"int8_model", **changes: object) -> Int8Facts:
    """Return what a card says of an INT8 model."""
    facts = Int8Facts(
        sha256=sha256_of_bytes(int8_model),
        bytes=len(int8_model),
        float32_layers=0,
        margin=MarginFacts(lead=0.0, unknown=0.0),
        second_passes=0.05,
        allowed_flips=0,
    )
    return msgspec.structs.replace(facts, **changes)


def parity_proof(
    runtime: str = "onnxruntime",
    precision: str = "fp32",
    rate: float | None = 100.0,
    **changes: object,
) -> ParityProof:
    """Return a proof that holds on this machine, with other values where given."""
    proof = ParityProof(
        runtime=runtime,
        version=runtime_version(runtime) or "",
        device="cpu",
        precision=precision,
        processor=processor_of("cpu"),
        images=50,
        flips=0,
        allowed_flips=0,
        greatest_difference=1e-6,
        greatest_unknown_difference=1e-6,
        tolerance=1e-4,
        images_per_second_1=rate,
        images_per_second_32=rate,
    )
    return msgspec.structs.replace(proof, **changes)


def random_images(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return smooth random images (N, H, W, 3): blobs of light, not white noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC))
            for c in coarse
        ]
    )


def save_images(folder: Path, images: NDArray[np.uint8], prefix: str = "") -> list[Path]:
    """Write images as PNG files 000.png, 001.png, ... and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{index:03d}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond so many bytes: the error that a full disk gives.

    Called in the child before it runs. It may write no compiled modules: up to 3.12 Python keeps
    one that was cut short, and every later import of it fails (python/cpython#126606).
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def neu_det() -> Path:
    """Return the NEU-DET archive, or skip the test where it is not at hand."""
    given = os.environ.get("SIHWA_NEU_DET")
    path = Path(given) if given else Path(__file__).parents[2] / "shared" / "data" / "NEU-DET.zip"
    if not path.is_file():
        pytest.skip("NEU-DET is not on this machine; set SIHWA_NEU_DET to its archive")
    return path
