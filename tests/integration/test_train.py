"""What a run leaves behind, and what ends it: probe training on a small set of images."""

import copy
import json
from pathlib import Path

import cv2
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.metrics import balanced_accuracy_score, f1_score

import sihwa.export.export
import sihwa.export.fixed_size
import sihwa.training.embedding
from sihwa.commands.train_command import show_run
from sihwa.dataset import read_manifest
from sihwa.errors import ConfigError, DatasetError, ParityError, RuntimeUnavailable, UnreadableImage
from sihwa.inspector import TOLERANCE, load_inspector
from sihwa.inspector.runtime import torch_runtime
from sihwa.model import Network, export_fixed_graph, export_graph
from sihwa.run import Run, RunResult
from sihwa.scoring import score_sources
from tests.helpers import random_images, save_images
from tests.integration.conftest import card_of, make_parts, start, train

FILES = {
    ".lock", "audit.html", "audit.parquet", "config.yaml", "inspector", "manifest.parquet",
    "metrics.json", "predictions.parquet", "report.html", "train.log",
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def predictions_of(run: RunResult) -> pd.DataFrame:
    return pd.read_parquet(run.folder / "predictions.parquet")


def test_finish_leaves_a_whole_run_folder(run: RunResult) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert {path.name for path in run.inspector.iterdir()} == {
        "README.md", "card.json", "calibration.parquet", "inspector.onnx", "images.zip",
        "weights.safetensors",
    }  # fmt: skip
    manifest = read_manifest(run.folder / "manifest.parquet")
    assert manifest.fingerprint == run.manifest.fingerprint
    assert manifest.fingerprint in (run.inspector / "card.json").read_text("utf-8")
    assert manifest.counts["긁힘"] == {"train": 12, "calibration": 4, "test": 4}


def test_finish_metrics_equal_scikit_learn_on_predictions(run: RunResult) -> None:
    figures = json.loads((run.folder / "metrics.json").read_text())["figures"]
    test = predictions_of(run).query("split == 'test'")
    expected = {
        "accuracy": (test.label == test.top_class).mean(),
        "balanced_accuracy": balanced_accuracy_score(test.label, test.top_class),
        "macro_f1": f1_score(test.label, test.top_class, average="macro"),
    }
    for name, value in expected.items():
        assert figures[name]["value"] == pytest.approx(value)
        assert figures[name]["low"] <= value <= figures[name]["high"]


def test_score_sources_gives_the_predictions_of_the_run(
    run: RunResult, parts: Path, tmp_path: Path
) -> None:
    summary = score_sources(load_inspector(run.inspector), parts, tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv").sort_values("path").reset_index(drop=True)
    predictions = predictions_of(run).sort_values("path").reset_index(drop=True)
    assert summary.images == len(scores) == len(predictions) == 40
    exact = ["path", "sha256", "decision", "reason", "top_class"]
    pd.testing.assert_frame_equal(scores[exact], predictions[exact], check_dtype=False)
    close = ["probability_긁힘", "probability_양품", "unknown"]
    pd.testing.assert_frame_equal(
        scores[close], predictions[close], check_dtype=False, atol=1e-4, rtol=0
    )


def test_second_run_embeds_nothing_and_gives_the_same_files(
    run: RunResult, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run.folder)
    monkeypatch.setattr(sihwa.training.embedding, "create_embedder", pytest.fail)
    again = train(parts, run.folder.parents[1])
    assert contents(run.folder) == before
    assert (run.folder.parents[1] / "latest").resolve() == again.folder != run.folder
    for name in ("metrics.json", "predictions.parquet", "inspector/weights.safetensors"):
        assert (again.folder / name).read_bytes() == before[name], name


def test_finish_export_that_decides_otherwise_does_not_ship(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_wrongly(network: Network) -> bytes:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.classifier.bias.add_(torch.tensor([9.0, -9.0]))
        return export_graph(other)

    monkeypatch.setattr(sihwa.export.export, "export_graph", export_wrongly)
    with pytest.raises(ParityError, match=r"not written.*onnxruntime"):
        train(parts, tmp_path)
    [folder] = tmp_path.glob("*-*-*/*")
    assert not (folder / "inspector").exists()
    assert not (tmp_path / "latest").exists()
    last = (folder / "train.log").read_text("utf-8").splitlines()[-1]
    assert "ERROR" in last
    assert "not written" in last


def test_finish_fixed_size_adds_a_graph_that_is_proven(parts: Path, tmp_path: Path) -> None:
    run = train(parts, tmp_path, "export.fixed_size=true")
    facts = card_of(run).fixed_size
    assert facts is not None
    assert facts.input == (1, 3, 64, 64)
    assert [proof.runtime for proof in facts.proof] == ["onnxruntime", "opencv"]
    # eight test images, each also in three other sizes
    assert [(proof.images, proof.flips) for proof in facts.proof] == [(32, 0)] * 2
    assert facts.proof[1].version == cv2.__version__
    assert facts.pillow_flips is not None
    readme = (run.inspector / "README.md").read_text("utf-8")
    assert facts.proof[1].verdict() in readme
    assert "32 decisions flip" in readme
    assert (run.inspector / "inspector.fixed.onnx").stat().st_size == facts.bytes
    assert load_inspector(run.inspector).card.as_dict() == card_of(run).as_dict()


def test_finish_fixed_graph_that_decides_otherwise_ends_the_run(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_wrongly(network: Network) -> bytes:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.classifier.bias.add_(torch.tensor([9.0, -9.0]))
        return export_fixed_graph(other)

    monkeypatch.setattr(sihwa.export.fixed_size, "export_fixed_graph", export_wrongly)
    with pytest.raises(ParityError, match=r"not written.*fixed-size graph.*onnxruntime"):
        train(parts, tmp_path, "export.fixed_size=true")
    [folder] = tmp_path.glob("*-*-*/*")
    assert not (folder / "inspector").exists()


@pytest.mark.parametrize("setting", ["model.tiles=[1,2]", "model.fit=letterbox"])
def test_start_fixed_size_of_part_of_an_image_is_refused(
    parts: Path, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(ConfigError, match=r"export\.fixed_size=true needs .* the whole image"):
        start(parts, tmp_path, "export.fixed_size=true", setting)
    assert not list(tmp_path.glob("*-*-*/*"))  # no run folder was made


def test_finish_proves_and_times_every_installed_runtime(run: RunResult) -> None:
    proofs = {(proof.runtime, proof.precision): proof for proof in run.proofs}
    assert {("onnxruntime", "fp32"), ("openvino", "fp32"), ("torch", "fp32")} <= proofs.keys()
    for proof in run.proofs:
        assert proof.proven
        assert proof.flips == 0
        assert proof.images_per_second_1
        assert proof.images_per_second_32
    # eight test images, each also in three other sizes
    assert proofs["openvino", "fp32"].images == 32
    fastest = max(run.proofs, key=lambda proof: proof.images_per_second_1 or 0)
    inspector = load_inspector(run.inspector)
    assert inspector.runtime.choice.runtime == fastest.runtime
    assert "proven at export in" in inspector.explanation


def test_finish_refused_runtime_is_called_refused(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch_runtime, "fault", lambda _: None)  # bfloat16, slow but right
    monkeypatch.setitem(TOLERANCE, "bf16", 1e-9)
    run = train(parts, tmp_path)
    verdicts = {(proof.runtime, proof.precision): proof.verdict() for proof in run.proofs}
    assert "cpu bf16: refused" in verdicts["torch", "bf16"]
    assert "cpu fp32: proven" in verdicts["torch", "fp32"]
    show_run(run)
    texts = {
        "terminal": capsys.readouterr().out,
        "log": (run.folder / "train.log").read_text("utf-8"),
        "README": (run.inspector / "README.md").read_text("utf-8"),
        "report": run.report.read_text("utf-8"),
    }
    for name, text in texts.items():
        assert verdicts["torch", "bf16"] in text, name
        assert verdicts["torch", "fp32"] in text, name
    with pytest.raises(RuntimeUnavailable, match=r"cpu bf16: refused"):
        load_inspector(run.inspector, runtime="torch", precision="bf16")


@pytest.mark.slow
@pytest.mark.parametrize("least_gain", [0.0, 1e9])
def test_finish_keeps_an_int8_model_only_if_it_is_faster(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least_gain: float
) -> None:
    monkeypatch.setattr("sihwa.export.ship_check._LEAST_GAIN", least_gain)
    run = train(parts, tmp_path, "export.int8=true", "export.max_int8_flips=32")
    kept = least_gain == 0
    assert run.card is not None
    assert (run.card.int8 is not None) == kept
    assert (run.inspector / "inspector.int8.onnx").exists() == kept
    assert ("INT8 model is dropped" in (run.folder / "train.log").read_text("utf-8")) != kept
    assert load_inspector(run.inspector).card == run.card


def test_start_unreadable_image_ends_the_run_or_is_dropped(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "parts", count=4)
    (parts / "양품" / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DatasetError, match=r"1 of 9 images .*: .*broken\.png: "):
        start(parts, tmp_path)
    assert not list(tmp_path.glob("*-*-*/*"))  # no run folder was made
    run = train(parts, tmp_path, "dataset.on_unreadable=drop", "export.images=0")
    assert [Path(image.path).name for image in run.manifest.dropped] == ["broken.png"]
    assert "broken.png" in (run.folder / "train.log").read_text("utf-8")
    assert not (run.inspector / "images.zip").exists()


def test_finish_four_images_a_class_ship_no_path_of_this_machine(tmp_path: Path) -> None:
    weights = tmp_path / "미리 배운" / "backbone.safetensors"
    weights.parent.mkdir()
    save_file(timm.create_model("test_efficientnet").state_dict(), weights)
    run = train(make_parts(tmp_path / "parts", count=4), tmp_path, f"model.weights='{weights}'")
    assert run.manifest.counts["양품"] == {"train": 2, "calibration": 1, "test": 1}
    files = contents(run.inspector)
    named = {name for name, content in files.items() if weights.name.encode() in content}
    assert named == {"card.json", "inspector.onnx", "README.md"}
    for content in files.values():
        assert weights.parent.name.encode() not in content
        assert str(tmp_path).encode() not in content


def test_start_too_few_images_error_carries_the_notes(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "parts", count=4)
    save_images(parts / "찍힘", random_images(1, 40, 40))
    (parts / "얼룩").mkdir()
    with pytest.raises(DatasetError, match="class '찍힘'") as caught:
        start(parts, tmp_path)
    assert any(str(parts / "얼룩") in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("vanishes", "reason"),
    [(False, "changed since the run began"), (True, "No such file or directory")],
)
def test_finish_image_that_changes_stops_the_run_until_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanishes: bool, reason: str
) -> None:
    parts = make_parts(tmp_path / "parts", count=4)
    run = start(parts, tmp_path, "export=none")
    first = Path(run.manifest.table["path"][0].as_py())
    content = first.read_bytes()
    first.unlink()
    if not vanishes:
        first.write_bytes(next(parts.rglob("60 *.png")).read_bytes())
    with pytest.raises(UnreadableImage, match=reason) as caught:
        run.finish()
    assert str(caught.value).startswith(f"{first}: ")
    assert str(caught.value).endswith(f"resume with: python train.py resume={run.folder}")
    first.write_bytes(content)
    assert Run.resume(run.folder).finish().evaluation.count == 2


def test_finish_without_inspector_measures_corruptions(
    run: RunResult, parts: Path, tmp_path: Path
) -> None:
    few = train(
        parts,
        tmp_path,
        "export=none",
        "evaluation=corrupted",
        "dataset.split.train_per_class=1",
        "training.strengths=[0.1]",
    )
    names = {path.name for path in few.folder.iterdir()}
    assert names == (FILES - {"inspector"}) | {"corruptions.json", "corruptions.png"}
    assert (few.card, few.proofs) == (None, [])
    page = few.report.read_text(encoding="utf-8")
    assert "none: export.enabled=false" in page
    assert "Robustness to image degradation" in page
    assert "Robustness to image degradation" not in run.report.read_text(encoding="utf-8")
    found = json.loads((few.folder / "corruptions.json").read_text())
    assert list(found) == ["noise", "uneven_light", "motion", "jpeg"]
    for rows in found.values():
        assert [row["strength"] for row in rows] == [1, 2, 3, 4, 5]
        assert all(row["accuracy"]["count"] == row["escapes"]["count"] * 2 == 8 for row in rows)
    assert few.manifest.counts["긁힘"] == {"train": 1, "calibration": 4, "test": 4}
