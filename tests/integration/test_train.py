import copy
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.metrics import balanced_accuracy_score, f1_score

import sihwa.export.export
import sihwa.training.embedding
from sihwa.dataset import read_manifest
from sihwa.errors import (
    ParityError,
    RuntimeUnavailable,
    TooFewImages,
    UnreadableImage,
    UnreadableImages,
)
from sihwa.images import read_image
from sihwa.inspector import TOLERANCE, load_inspector
from sihwa.inspector.runtime import torch_runtime
from sihwa.model import Network, export_graph
from sihwa.run import Run, RunResult
from sihwa.scoring import score_sources
from tests.helpers import random_images, save_images
from tests.integration.conftest import card_of, make_parts, train

FILES = {
    ".lock", "config.yaml", "inspector", "manifest.parquet", "metrics.json", "predictions.parquet",
    "report.html", "train.log",
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_train_inspector_run_folder_is_complete(run: RunResult) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert {path.name for path in run.inspector.iterdir()} == {
        "README.md", "card.json", "inspector.onnx", "images.zip", "weights.safetensors"
    }  # fmt: skip
    assert (run.folder.parents[1] / "latest").resolve() == run.folder
    manifest = read_manifest(run.folder / "manifest.parquet")
    assert manifest.fingerprint == card_of(run).dataset["fingerprint"] == run.manifest.fingerprint
    assert manifest.counts["긁힘"] == {"train": 12, "calibration": 4, "test": 4}


def test_train_inspector_metrics_equal_a_recount_of_the_predictions(run: RunResult) -> None:
    figures = json.loads((run.folder / "metrics.json").read_text())["figures"]
    test = pd.read_parquet(run.folder / "predictions.parquet").query("split == 'test'")
    expected = {
        "accuracy": (test.label == test.top_class).mean(),
        "balanced_accuracy": balanced_accuracy_score(test.label, test.top_class),
        "macro_f1": f1_score(test.label, test.top_class, average="macro"),
    }
    for name, value in expected.items():
        assert figures[name]["value"] == pytest.approx(value)
        assert figures[name]["low"] <= value <= figures[name]["high"]


def test_train_inspector_predictions_are_those_of_the_weights(run: RunResult) -> None:
    table = pd.read_parquet(run.folder / "predictions.parquet")
    inspector = load_inspector(run.inspector)
    for row in table.itertuples():
        [inspection] = inspector.predict([read_image(str(row.path))])
        assert inspection.top_class == row.top_class
        assert inspection.decision.outcome == row.decision
        np.testing.assert_allclose(
            inspection.probability, [row.probability_긁힘, row.probability_양품], atol=1e-4
        )


@pytest.mark.parametrize("suffix", ["", ".csv", ".jsonl"])
def test_score_sources_gives_the_predictions_of_the_run(
    run: RunResult, parts: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"scores{suffix}"
    summary = score_sources(load_inspector(run.inspector), parts, out)
    readers = {
        "": lambda path: pd.read_parquet(path / "rows"),
        ".csv": pd.read_csv,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }
    scores = readers[suffix](out).sort_values("path").reset_index(drop=True)
    predictions = pd.read_parquet(run.folder / "predictions.parquet")
    predictions = predictions.sort_values("path").reset_index(drop=True)
    assert summary.images == len(scores) == len(predictions) == 40
    exact = ["path", "sha256", "decision", "reason", "top_class"]
    pd.testing.assert_frame_equal(scores[exact], predictions[exact], check_dtype=False)
    close = ["probability_긁힘", "probability_양품", "unknown"]
    pd.testing.assert_frame_equal(
        scores[close], predictions[close], check_dtype=False, atol=1e-4, rtol=0
    )


def test_train_inspector_same_seed_same_manifest_metrics_and_weights(
    run: RunResult, parts: Path, tmp_path: Path
) -> None:
    again = train(parts, tmp_path)
    assert again.folder != run.folder
    assert again.manifest.table.equals(run.manifest.table)
    for name in ("metrics.json", "predictions.parquet", "inspector/weights.safetensors"):
        assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes(), name


def test_train_inspector_second_run_embeds_nothing_and_overwrites_nothing(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(parts, tmp_path)
    before = contents(first.folder)

    def refuse(*_: object) -> None:
        raise AssertionError("an image was embedded twice")

    monkeypatch.setattr(sihwa.training.embedding, "create_embedder", refuse)
    second = train(parts, tmp_path)
    assert contents(first.folder) == before
    assert (tmp_path / "latest").resolve() == second.folder != first.folder


def test_train_inspector_another_seed_divides_otherwise(
    run: RunResult, parts: Path, tmp_path: Path
) -> None:
    again = train(parts, tmp_path, "seed=1")
    assert again.manifest.fingerprint != run.manifest.fingerprint


def test_train_inspector_export_that_decides_otherwise_does_not_ship(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_wrongly(network: Network) -> bytes:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.classifier.bias.add_(torch.tensor([9.0, -9.0]))
        return export_graph(other)

    monkeypatch.setattr(sihwa.export.export, "export_graph", export_wrongly)
    with pytest.raises(ParityError, match=r"not written: .* decisions flip.*\.png"):
        train(parts, tmp_path)
    [folder] = tmp_path.glob("*-*-*/*")
    assert not (folder / "inspector").exists()
    assert not (tmp_path / "latest").exists()
    assert "ERROR the export does not decide" in (folder / "train.log").read_text()


def test_train_inspector_every_runtime_present_is_proven_and_timed(run: RunResult) -> None:
    proven = {(item["runtime"], item["precision"]): item for item in card_of(run).proof}
    assert {("onnxruntime", "fp32"), ("openvino", "fp32"), ("torch", "fp32")} <= proven.keys()
    for item in card_of(run).proof:
        assert item["proven"]
        assert item["flips"] == 0
        assert item["images_per_second_1"] > 0
        assert item["images_per_second_32"] > 0
    # eight test images, each also in three other sizes
    assert proven["openvino", "fp32"]["images"] == 32
    fastest = max(card_of(run).proof, key=lambda item: item["images_per_second_1"])
    inspector = load_inspector(run.inspector)
    assert inspector.runtime.choice.runtime == fastest["runtime"]
    assert "proven at export in" in inspector.explanation


def test_train_inspector_precision_that_strays_is_refused_and_named(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_runtime, "fault", lambda _: None)  # bfloat16, slow but right
    monkeypatch.setitem(TOLERANCE, "bf16", 1e-9)
    run = train(parts, tmp_path)
    refused = {(i["runtime"], i["precision"]) for i in card_of(run).proof if not i["proven"]}
    assert ("torch", "bf16") in refused
    log = (run.folder / "train.log").read_text()
    assert re.search(r"WARNING refused, and named so in the card: torch .* bf16.*\.png", log)
    assert "| no: refused |" in (run.inspector / "README.md").read_text()
    with pytest.raises(RuntimeUnavailable, match="torch on cpu in bf16 is refused on this machine"):
        load_inspector(run.inspector, runtime="torch", precision="bf16")


@pytest.mark.slow
def test_train_inspector_with_int8_keeps_the_int8_model_or_says_why_not(
    parts: Path, tmp_path: Path
) -> None:
    run = train(parts, tmp_path, "export.int8=true")
    log = (run.folder / "train.log").read_text()
    kept = (run.inspector / "inspector.int8.onnx").exists()
    assert kept != ("the INT8 model is dropped: " in log)
    assert (card_of(run).int8 is not None) == kept
    assert load_inspector(run.inspector).card == run.card


def test_train_inspector_without_images_keeps_none(parts: Path, tmp_path: Path) -> None:
    run = train(parts, tmp_path, "export.images=0")
    assert not (run.inspector / "images.zip").exists()


def test_train_inspector_unreadable_images_end_the_run_or_are_dropped_by_name(
    tmp_path: Path,
) -> None:
    parts = make_parts(tmp_path / "parts")
    (parts / "양품" / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UnreadableImages, match=r"1 of 41 images .*: .*broken\.png: "):
        train(parts, tmp_path)
    assert not list(tmp_path.glob("*-*-*/*"))  # nothing was begun
    run = train(parts, tmp_path, "dataset.on_unreadable=drop")
    assert "1 unreadable images were dropped" in (run.folder / "train.log").read_text()
    assert [Path(image.path).name for image in run.manifest.dropped] == ["broken.png"]


def test_train_inspector_four_images_a_class_are_enough(tmp_path: Path) -> None:
    run = train(make_parts(tmp_path / "parts", count=4), tmp_path)
    assert run.manifest.counts["양품"] == {"train": 2, "calibration": 1, "test": 1}


def test_train_inspector_ships_no_path_of_the_machine_it_was_made_on(tmp_path: Path) -> None:
    weights = tmp_path / "미리 배운" / "backbone.safetensors"
    weights.parent.mkdir()
    save_file(timm.create_model("test_efficientnet").state_dict(), weights)
    run = train(make_parts(tmp_path / "parts", count=4), tmp_path, f"model.weights='{weights}'")
    assert card_of(run).weights["source"] == "backbone.safetensors"
    parts = contents(run.inspector)
    assert {"card.json", "inspector.onnx", "README.md", "images.zip"} < parts.keys()
    for name, content in parts.items():
        assert b"backbone.safetensors" in content or name in ("weights.safetensors", "images.zip")
        assert "미리 배운".encode() not in content
        assert str(tmp_path).encode() not in content


def test_train_inspector_three_images_of_a_class_are_too_few(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "parts")
    save_images(parts / "찍힘", random_images(3, 40, 40))
    with pytest.raises(TooFewImages, match="class '찍힘'") as raised:
        train(parts, tmp_path)
    assert "\n" not in str(raised.value)


def test_train_inspector_a_group_never_leaves_its_split(parts: Path, tmp_path: Path) -> None:
    paths = sorted(parts.rglob("*.png"))
    table = pd.DataFrame({
        "path": [str(path) for path in paths],
        "label": [path.relative_to(parts).parts[0] for path in paths],
        "group": [f"coil {index // 3}" for index in range(len(paths))],
    })  # fmt: skip
    table.to_csv(tmp_path / "labels.csv", index=False)
    run = train(tmp_path / "labels.csv", tmp_path)
    rows = run.manifest.table.to_pandas()
    assert rows.groupby("group").split.nunique().max() == 1


@pytest.mark.parametrize(
    ("vanishes", "reason"),
    [
        (False, "changed since the run began; put the old one back, or begin a new run"),
        (True, "No such file or directory, though the run began with it; put it back"),
    ],
)
def test_train_inspector_a_image_that_changes_meanwhile_stops_the_run_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanishes: bool, reason: str
) -> None:
    parts = make_parts(tmp_path / "parts")
    first = parts / "양품" / "40 000.png"
    content = first.read_bytes()
    original = sihwa.training.embedding.read_batches

    def swap_first(*arguments: object) -> object:
        if vanishes:
            first.unlink()
        else:
            save_images(first.parent, random_images(1, 40, 50, seed=9), prefix="40 ")
        return original(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(sihwa.training.embedding, "read_batches", swap_first)
        with pytest.raises(UnreadableImage) as caught:
            train(parts, tmp_path)
    [folder] = tmp_path.glob("*-*-*/*")
    advice = f"Once that is mended, go on with: python train.py resume={folder}"
    assert str(caught.value) == f"{first}: {reason}. {advice}"
    first.write_bytes(content)
    assert Run.resume(folder).finish().evaluation.count == 8


def test_train_inspector_figures_only_under_corruption(parts: Path, tmp_path: Path) -> None:
    whole = train(parts, tmp_path / "whole", "export=none")
    run = train(
        parts,
        tmp_path / "few",
        "export=none",
        "evaluation=corrupted",
        "dataset.split.train_per_class=1",
        "training.strengths=[0.1]",
    )
    names = {path.name for path in run.folder.iterdir()}
    assert names == (FILES - {"inspector"}) | {"corruptions.json", "corruptions.png"}
    assert (run.card, run.proofs) == (None, [])
    page = run.report.read_text(encoding="utf-8")
    assert "none: export.enabled=false" in page
    assert "Under a worse camera" in page
    assert "Under a worse camera" not in whole.report.read_text(encoding="utf-8")
    found = json.loads((run.folder / "corruptions.json").read_text())
    assert list(found) == ["noise", "uneven_light", "motion", "jpeg"]
    for rows in found.values():
        assert [row["strength"] for row in rows] == [1, 2, 3, 4, 5]
        assert all(row["accuracy"]["count"] == row["escapes"]["count"] * 2 == 8 for row in rows)
    assert run.manifest.counts["긁힘"] == {"train": 1, "calibration": 4, "test": 4}
