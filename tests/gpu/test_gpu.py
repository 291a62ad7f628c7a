"""Training, parity, scoring and benchmark on a CUDA device: `make gpu`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sihwa.inspector import REFERENCE, create_runtime, installed_choices, read_bundle
from sihwa.run import Run, RunResult
from sihwa.run.compose import compose_config
from tests.helpers import neu_det, random_images, save_images
from tests.integration.conftest import make_parts, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]
_TOLERANCE = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.05}
"""Allowed difference in probability from the FP32 reference on the CPU."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    root = tmp_path_factory.mktemp("gpu")
    return train(
        make_parts(root / "parts"), root, "training=finetune", "training.epochs=2", "device=cuda"
    )


def sihwa(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sihwa", *map(str, arguments)],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip


def test_finetune_on_cuda_ships_a_proven_inspector(trained: RunResult) -> None:
    assert np.isfinite(trained.calibrated.probability).all()
    proven = {(one.runtime, one.device.partition(":")[0]) for one in trained.proofs if one.proven}
    assert {("onnxruntime", "cpu"), ("torch", "cuda")} <= proven


def test_every_cuda_runtime_agrees_with_the_reference(trained: RunResult) -> None:
    bundle = read_bundle(trained.inspector)
    image = random_images(32, 60, 50)
    expected = create_runtime(bundle, REFERENCE).run(image).probability
    choices = [one for one in installed_choices(bundle, ["cuda"]) if one.kind == "cuda"]
    assert any(one.runtime == "torch" for one in choices)
    for choice in choices:
        found = create_runtime(bundle, choice).run(image).probability
        np.testing.assert_allclose(
            found, expected, atol=_TOLERANCE[choice.precision], err_msg=str(choice)
        )


def test_score_on_cuda_decides_as_on_the_cpu(trained: RunResult, tmp_path: Path) -> None:
    save_images(tmp_path / "parts", random_images(40, 60, 50))
    tables = {}
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.csv"
        sihwa("score", trained.inspector, tmp_path / "parts", "--out", out, "--device", device)
        tables[device] = pd.read_csv(out).set_index("path").sort_index()
    assert len(tables["cuda"]) == 40
    assert tables["cuda"].decision.tolist() == tables["cpu"].decision.tolist()


def test_benchmark_lists_cuda_variants(trained: RunResult, tmp_path: Path) -> None:
    sihwa("verify", trained.inspector, "--device", "cpu", "--device", "cuda")
    sihwa(
        "benchmark", trained.inspector, "--devices", "cpu,cuda", "--samples", 40,
        "--out", tmp_path / "out",
    )  # fmt: skip
    document = json.loads((tmp_path / "out" / "benchmark.json").read_text("utf-8"))
    assert any("cuda" in one["name"] for one in document["variants"])


def test_finetune_neu_det_on_cuda_learns(tmp_path: Path) -> None:
    config = compose_config([
        "dataset=neu_det", f"dataset.root={neu_det()}", "training=finetune", "training.epochs=3",
        "device=cuda", "export=none", f"output_dir={tmp_path}", f"cache_dir={tmp_path / 'cache'}",
    ])  # fmt: skip
    accuracy = Run.start(config).finish().evaluation.accuracy.value
    assert accuracy is not None
    assert accuracy > 0.9
