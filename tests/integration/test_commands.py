import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from sihwa.inspector import load_inspector
from sihwa.run import RunResult
from sihwa.run.run_files import read_config
from tests.helpers import limit_files, random_images, save_images
from tests.integration.conftest import make_parts, settings

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "train.py")]
SCORE = [sys.executable, str(ROOT / "scripts" / "score.py")]
VERIFY = [sys.executable, str(ROOT / "scripts" / "verify.py")]
SIHWA = [sys.executable, "-m", "sihwa"]
WITHOUT_TRAINING = [
    sys.executable,
    "-c",
    "import sys; sys.modules.update(dict.fromkeys("
    "['torch', 'hydra', 'omegaconf', 'scipy', 'sklearn']));"
    "from sihwa.__main__ import main; main()",
]


def command(
    *words: object, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), capture_output=True, encoding="utf-8", check=False, preexec_fn=before
    )


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def test_train_command_from_nothing_to_an_inspector(parts: Path, tmp_path: Path) -> None:
    done = command(*TRAIN, *settings(parts, tmp_path / "결과"))
    assert done.returncode == 0, done.stderr
    assert "Escapes" in done.stdout
    assert "openvino" in done.stdout
    assert "fp32: proven, 0 of 32 decisions flip" in done.stdout
    assert (tmp_path / "결과" / "latest" / "inspector" / "inspector.onnx").is_file()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["dataset=image_folder"], 2, "add dataset.root=VALUE"),
        (["dataset=image_folder", "dataset.root=없음 (1)"], 1, "found nothing"),
        (["--multirun", "seed=1,2", "sede=3"], 2, "nearest: seed"),
        (["cache_dir=/dev/null/x", "model=resnet18", "model.weights=none"], 1, "cache_dir=PATH"),
    ],
)
def test_train_command_bad_input_is_one_line(
    tmp_path: Path, overrides: list[str], code: int, message: str
) -> None:
    done = command(*TRAIN, f"output_dir={tmp_path}", *overrides)
    assert done.returncode == code
    *_notes, line = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGINT, 130, "interrupted; no partial"), (signal.SIGTERM, 143, "terminated; no")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_train_command_stopped_by_a_signal_leaves_no_partial_file(
    number: int, code: int, line: str, tmp_path: Path
) -> None:
    parts = make_parts(tmp_path / "parts")
    with subprocess.Popen(
        [*TRAIN, *settings(parts, tmp_path)], stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("run folder ")
        process.send_signal(number)
        assert process.stderr.read().splitlines()[-1].startswith(line)
    assert process.returncode == code
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "latest").exists()
    assert not list(tmp_path.glob("*-*-*/*/inspector"))


def test_train_command_full_disk_at_the_graph_can_be_resumed(parts: Path, tmp_path: Path) -> None:
    done = command(*TRAIN, *settings(parts, tmp_path), before=partial(limit_files, 300_000))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: cannot write ")
    assert "Traceback" not in done.stderr
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("*-*-*/*/inspector"))
    assert not (tmp_path / "latest").exists()
    _, _, advice = done.stderr.strip().rpartition(". Once that is fixed, resume with: ")
    python, program, resume = shlex.split(advice)
    assert (python, program) == ("python", "train.py")
    again = command(*TRAIN, resume)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "latest" / "inspector" / "inspector.onnx").is_file()


def test_score_command_gives_one_row_per_image(run: RunResult, tmp_path: Path) -> None:
    folder = tmp_path / "3월 사진"
    save_images(folder, random_images(3, 30, 40))
    (folder / "빈 파일.jpg").touch()
    (folder / "cut.png").write_bytes((folder / "000.png").read_bytes()[:200])
    (folder / "notes.txt").touch()
    done = command(*SCORE, run.inspector, folder, "--out", tmp_path / "scores.csv")
    assert done.returncode == 0, done.stderr
    assert "5 rows" in done.stdout
    assert "1 other files are not named like images: 1 .txt" in done.stdout
    rows = pd.read_csv(tmp_path / "scores.csv").set_index("path")
    assert sorted(Path(path).name for path in rows.index) == [
        "000.png", "001.png", "002.png", "cut.png", "빈 파일.jpg"
    ]  # fmt: skip
    broken = rows[rows.error.notna()]
    assert sorted(Path(path).name for path in broken.index) == ["cut.png", "빈 파일.jpg"]
    assert set(broken.decision) == {"review"}


@pytest.fixture
def inspector_copy(run: RunResult, tmp_path: Path) -> Path:
    """An inspector that a test may verify: the result lies beside it."""
    return Path(shutil.copytree(run.inspector, tmp_path / "검사기"))


def test_verify_command_with_the_images_kept_inside(inspector_copy: Path, parts: Path) -> None:
    done = command(*SIHWA, "verify", inspector_copy)
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" in done.stdout
    assert "openvino" in done.stdout
    assert "proven" in done.stdout
    assert "Traceback" not in done.stderr
    assert (inspector_copy.parent / "검사기.verified.json").is_file()
    scored = command(
        *SIHWA, "score", inspector_copy, parts, "--out", inspector_copy.parent / "s.csv"
    )
    assert "verified in" in scored.stderr
    assert leftovers(inspector_copy.parent) == []


def test_verify_command_names_what_it_could_not_read(inspector_copy: Path, tmp_path: Path) -> None:
    save_images(tmp_path / "사진", random_images(3, 30, 40))
    (tmp_path / "사진" / "빈 파일.jpg").touch()
    done = command(*VERIFY, inspector_copy, tmp_path / "사진", "--limit", 10)
    assert done.returncode == 0, done.stderr
    assert "빈 파일.jpg: empty file" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["verify", "nowhere"], "expected an inspector folder", id="no inspector"),
        pytest.param(["verify", "{inspector}/inspector.onnx"], "keeps no images", id="graph alone"),
        pytest.param(["verify", "{inspector}", "{empty}"], "no image found", id="empty, verify"),
        pytest.param(
            ["score", "{inspector}", "nowhere"], "expected a folder of images", id="no folder"
        ),
        pytest.param(["score", "{inspector}", "{empty}"], "no image found", id="empty, score"),
    ],
)
def test_line_command_bad_input_is_one_line(
    inspector_copy: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"inspector": inspector_copy, "empty": tmp_path / "empty"}
    out = ["--out", tmp_path / "scores.csv"] if words[0] == "score" else []
    done = command(*SIHWA, *(word.format(**places) for word in words), *out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "scores.csv").exists()


def test_score_command_imports_neither_pytorch_nor_hydra(run: RunResult, tmp_path: Path) -> None:
    save_images(tmp_path / "in", random_images(2, 30, 40))
    done = command(
        *WITHOUT_TRAINING, "score", run.inspector, tmp_path / "in", "--out",
        tmp_path / "out.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


def test_decide_command_imports_neither_pytorch_nor_hydra(run: RunResult, tmp_path: Path) -> None:
    # blocked modules would confuse SciPy, which looks PyTorch up
    script = (
        "import atexit, sys; from sihwa.__main__ import main;"
        "atexit.register(lambda: print({'torch', 'hydra'} & set(sys.modules))); main()"
    )
    out = tmp_path / "문턱"
    words = ["decide", run.inspector, "--best-provable", "--out", out]
    done = command(sys.executable, "-c", script, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert load_inspector(out).card.claims


def test_evaluate_command_imports_neither_pytorch_nor_hydra(run: RunResult, parts: Path) -> None:
    script = (
        "import atexit, sys; from sihwa.__main__ import main;"
        "atexit.register(lambda: print({'torch', 'hydra', 'sklearn'} & set(sys.modules))); main()"
    )
    done = command(sys.executable, "-c", script, "evaluate", run.inspector, parts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stdout.count("as before") == 6
    assert "Traceback" not in done.stderr


def test_evaluate_command_of_the_runs_own_test_images_gives_its_figures(
    run: RunResult, tmp_path: Path
) -> None:
    for place, source in enumerate(("manifest.parquet", "predictions.parquet")):
        out = tmp_path / f"{place}.json"
        done = command(*SIHWA, "evaluate", run.inspector, run.folder / source, "--out", out)
        assert done.returncode == 0, done.stderr
        found = json.loads(out.read_text("utf-8"))
        assert found["confusion"] == run.evaluation.confusion.tolist()
        assert found["figures"]["accuracy"] == asdict(run.evaluation.accuracy)
        assert {one["p_value"] for one in found["against_training"]} == {1.0}


def test_score_command_imports_no_pandas(run: RunResult, tmp_path: Path) -> None:
    save_images(tmp_path / "in", random_images(2, 20, 20))
    script = (
        "import atexit, sys; from sihwa.__main__ import main;"
        "atexit.register(lambda: print('pandas' in sys.modules)); main()"
    )
    words = ["score", run.inspector, tmp_path / "in", "--out", tmp_path / "scores.csv"]
    done = command(sys.executable, "-c", script, *words)
    # pyarrow does on some of its paths, which takes as long as the first decision
    assert done.stdout.split()[-1] == "False"


def test_train_command_without_its_extra_names_the_pip_line() -> None:
    done = command(*WITHOUT_TRAINING, "train")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert 'pip install "sihwa[train]"' in line


def test_wheel_alone_trains_and_scores(parts: Path, tmp_path: Path) -> None:
    built = command(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("sihwa-*.whl")
    place = tmp_path / "installed"
    installed = command(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-compile", "--target", place, wheel,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    program = (
        f"import sys; sys.path.insert(0, {str(place)!r}); import sihwa;"
        f"assert sihwa.__file__.startswith({str(place)!r});"
        "from sihwa.__main__ import main; main()"
    )
    trained = command(
        sys.executable, "-c", program, "train", *settings(parts, tmp_path / "outputs")
    )
    assert trained.returncode == 0, trained.stderr
    scored = command(
        sys.executable, "-c", program, "score", tmp_path / "outputs" / "latest" / "inspector",
        parts, "--out", tmp_path / "scores",
    )  # fmt: skip
    assert scored.returncode == 0, scored.stderr
    assert len(pd.read_parquet(tmp_path / "scores" / "rows")) == 40


def test_train_command_multirun_makes_each_run(parts: Path, tmp_path: Path) -> None:
    given = settings(parts, tmp_path, "export=none", "seed=0,1", "dataset.licence=1_1")
    done = command(*TRAIN, "-m", *given)
    assert done.returncode == 0, done.stderr
    assert "run 2 of 2: " in done.stderr
    assert "runs 1, 2 differ by seed alone" in done.stdout
    configs = [read_config(path.parent) for path in tmp_path.glob("*-*-*/*/config.yaml")]
    assert sorted(config.seed for config in configs) == [0, 1]
    assert {config.dataset.licence for config in configs} == {"1_1"}
