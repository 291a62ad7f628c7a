"""An inspector that needs no network: what it says follows from the pixels alone."""

import numpy as np
from numpy.typing import NDArray

from sihwa.inspector import (
    Card,
    DatasetFacts,
    GraphFacts,
    Inspector,
    NetworkFacts,
    Outputs,
    PolicyFacts,
    RuntimeChoice,
    WeightsFacts,
)
from tests.helpers import CLASSES


class StubRuntime:
    """Probabilities from the mean of each channel; evidence in the brightest quarter."""

    choice = RuntimeChoice("stub", "cpu", "fp32")
    version = "0"

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        self.batches.append(image.shape)
        if image.shape[1:3] == (13, 13):
            raise RuntimeError("thirteen\nis unlucky")
        mean = image.mean((1, 2), dtype=np.float64) + 1
        probability = (mean / mean.sum(1, keepdims=True)).astype(np.float32)
        evidence = np.repeat(probability[:, :, None, None], 2, 2).repeat(2, 3)
        evidence[:, :, 0, :] = 0
        unknown = mean.mean(1).astype(np.float32) / 100
        if image.shape[1:3] == (17, 17):
            probability[:], unknown[:] = np.nan, np.nan
        return Outputs(probability, evidence, np.zeros((len(image), 4), np.float32), unknown)


def stub_inspector(**changes: object) -> Inspector:
    card = Card(
        **{
            "classes": CLASSES,
            "accept_classes": ("good",),
            "policy": PolicyFacts(unknown_threshold=2.0),
            "temperature": 1.0,
            "network": NetworkFacts(
                name="stub", architecture="stub", input_size=64, stages=0, embedding_width=4
            ),
            "weights": WeightsFacts(source="none", licence="none", sha256="0" * 64),
            "dataset": DatasetFacts(name="made", fingerprint="0" * 64, licence="none", count={}),
            "training": {},
            "metrics": {},
            "graph": GraphFacts(sha256="0" * 64, bytes=1, opset=18),
            "created": "2026-01-02T03:04:05+00:00",
            "code_version": "0",
            **changes,
        }  # type: ignore[arg-type]
    )
    return Inspector(card, StubRuntime(), "a stub")
