import re
import shlex
from pathlib import Path

import pytest

from sihwa.dataset import NeuDetConfig
from sihwa.decision import EscapeBoundConfig
from sihwa.errors import ConfigError
from sihwa.run.compose import compose_config, compose_settings, config_dir, expand_multirun
from sihwa.training import ProbeConfig

NEU = ["dataset=neu_det", "dataset.root=NEU-DET.zip"]


def test_compose_config_defaults_and_overrides_are_typed() -> None:
    config = compose_config([])
    assert (config.dataset.name, config.seed) == ("ELPV", 0)
    config = compose_config([*NEU, "++seed=3", "training.folds=7", "training.strengths=[1,0.1]"])
    assert isinstance(config.dataset, NeuDetConfig)
    assert isinstance(config.training, ProbeConfig)
    assert (config.seed, config.training.folds, config.training.strengths) == (3, 7, [1.0, 0.1])


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        *((text, text) for text in (
            "2026_01_31", "1.10", "007", "true", "null", "1e3", "C:/부품 (1), 둘", "C:\\parts\\new",
            "a=b", "it's", "x[1]", "glob(a)", "#1 : a", "",
        )),
        ("'a, b'", "a, b"),
        ('"C:/부품 (1)"', "C:/부품 (1)"),
    ],
)  # fmt: skip
def test_compose_config_text_stays_as_typed(typed: str, value: str) -> None:
    config = compose_config(["dataset=neu_det", "dataset.root=.", f"dataset.licence={typed}"])
    assert config.dataset.licence == value


def test_compose_config_rate_of_a_class_is_a_number() -> None:
    words = ["decision=escape_bound", "decision.class_escapes={crack: 0.001, 찍힘: 0.01}"]
    decision = compose_config(words).decision
    assert isinstance(decision, EscapeBoundConfig)
    assert decision.class_escapes == {"crack": 0.001, "찍힘": 0.01}


def test_compose_config_null_is_no_group() -> None:
    group = [compose_config([f"dataset.group={one}"]).dataset.group for one in ("null", "every:6")]
    assert group == [None, "every:6"]


@pytest.mark.parametrize(
    ("typed", "classes"),
    [
        ("[1_1]", ["1_1"]),
        ("[1.10, true ,null]", ["1.10", "true", "null"]),
        ("[정상 (1), 'a, b',  it]", ["정상 (1)", "a, b", "it"]),
        ('["정상",good]', ["정상", "good"]),
        ("[it's]", ["it's"]),
        ("[]", []),
    ],
)
def test_compose_config_texts_in_a_list_stay_as_typed(typed: str, classes: list[str]) -> None:
    config = compose_config([*NEU, f"dataset.accept_classes={typed}"])
    assert config.dataset.accept_classes == classes


@pytest.mark.parametrize(
    "option",
    sorted(
        path.relative_to(config_dir())
        for path in config_dir().glob("*/*.yaml")
        if path.parent.name != "sweep"  # not a part of the settings
    ),
    ids=str,
)
def test_compose_config_every_option_composes(option: Path) -> None:
    is_dataset = option.parent.name == "dataset" and option.stem not in ("elpv", "manifest")
    needed = ["dataset.root=x"] if is_dataset or "neu_" in option.stem else []
    needed += ["dataset.path=x"] if option.stem == "manifest" else []
    if option.stem == "cost":
        needed += ["decision.escape=9", "decision.overkill=2", "decision.review=1"]
    compose_config([f"{option.parent}={option.stem}", *needed])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sede=3"], "unknown setting 'sede'; nearest: seed"),
        (["training.fold=3"], "unknown setting 'training.fold'; nearest: training.folds"),
        (["++training.fold=5"], "nearest: training.folds"),
        ([*NEU, "dataset.rot=1"], "unknown setting 'dataset.rot'; nearest: dataset.root"),
        (["datset=elpv"], "unknown setting 'datset'; nearest: dataset"),
        (["dataset=elvp"], "dataset must be one of aitex, .*; got 'elvp'; nearest: elpv"),
        (["training=null"], "training must be one of finetune, probe"),
        (["experiment=null"], "experiment must be one of elpv"),
        (["model=resnet18,resnet50"], "model: several options"),
        (["dataset=neu_det"], "dataset.root is required"),
        (["decision=cost", "decision.escape=9", "decision.review=1"], "decision.overkill is req"),
        (["decision=escape_bound", "decision.escapes=0"], r"decision.escapes must be in \(0, 1\)"),
        (["seed=many"], "^seed: expected a whole number, got 'many'$"),
        (["seed=양 (1)"], r"expected a whole number, got '양 \(1\)'"),
        (["seed=null"], "^seed: expected a whole number, got 'null'"),
        (["seed=1,2"], r"^seed: several values \(1,2\) need --multirun"),
        (["seed=${x}"], "^seed: Interpolation key 'x' not found"),
        (["seed=-1"], r"seed must be in \[0, 4294967295\], got -1"),
        (["export.int8=maybe"], "^export.int8: expected true or false, got 'maybe'$"),
        (["export=none", "export.int8=true"], "^export.int8=true needs an inspector"),
        (["export=none", "export.fixed_size=true"], "^export.fixed_size=true needs an insp"),
        (["training.folds=1"], r"training.folds must be in \[2, 1000\], got 1"),
        (["device=tpu"], "device must be one of auto, cpu, cuda; got 'tpu'"),
        (["evaluation.confidence=1"], r"must be in \(0, 1\), got 1"),
        (["evaluation.resamples=5"], r"in \[100, 100000\], got 5"),
        (["export.max_difference=0.5"], r"must be in \(0, 0.01\]"),
        (["dataset.accept_classes=양품"], r'a list, such as "\[양품\]"'),
        (["dataset.merge=[a]"], r'"dataset\.merge={NAME: \[ONE, OTHER\]}"'),
        (["dataset.merge={a: b}"], "dataset.merge: expected lists by name"),
        (["'seed=3'"], r'double quotes: "seed=3"$'),
        (["'dataset.accept_classes=[a,", "b]'"], "single quotes .* cmd on Windows"),
        (["dataset.root='C:/data", "set'"], "cmd on Windows .* double quotes"),
        (["training.strengths=[a]"], "a list with a number in each"),
        (["dataset.split=3"], r"dataset\.split\.NAME=VALUE"),
        (["seed.x=1"], "unknown setting 'seed.x'; nearest: seed"),
        (["oops"], "not of the form setting=value"),
        (["=1"], "not of the form setting=value"),
        (["~training"], "not of the form setting=value"),
        (["output_dir="], "^output_dir must name a folder"),
        (["cache_dir=' '"], "^cache_dir must name a folder"),
        (["+foo=1"], "unknown setting 'foo'"),
        (["hydra/launcher=joblib"], "hydra/launcher"),
    ],
)
def test_compose_config_mistake_names_the_setting(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose_config(overrides)


@pytest.mark.parametrize("way", ["finetune", "stages"])
def test_compose_config_training_by_descent_brings_its_augmentation(way: str) -> None:
    assert compose_config([f"training={way}"]).augmentation.name == "surface"
    assert compose_config([f"training={way}", "augmentation=none"]).augmentation.name == "none"
    assert compose_config([]).augmentation.name == "none"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1,2,x"], "seed: expected a whole number, got 'x'"),
        (["sede=1,2"], "unknown setting 'sede'"),
        (["model=resnet18,resnet81"], "got 'resnet81'"),
        (["seed=range(1,4)"], r"seed: expected a whole number, got 'range\(1'"),
    ],
)
def test_expand_multirun_mistake_in_any_run_is_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(map(compose_config, expand_multirun(overrides)))


def test_expand_multirun_gives_every_combination() -> None:
    given = ["model=resnet18,resnet50", "seed=0,1", "dataset.licence=1_1, 'a, b'", "device=cpu"]
    found = expand_multirun(given)
    assert len(found) == 8
    assert found[-1] == ["model=resnet50", "seed=1", "dataset.licence='a, b'", "device=cpu"]
    assert {compose_config(one).dataset.licence for one in found} == {"1_1", "a, b"}
    lists = expand_multirun([*NEU, "dataset.accept_classes=[a,b],[1_1]"])
    assert [one[-1].partition("=")[2] for one in lists] == ["[a,b]", "[1_1]"]


@pytest.mark.parametrize("training", ["finetune", "stages"])
def test_compose_config_only_options_that_clash_are_named(training: str) -> None:
    clash = ["experiment=neu_few_shot", f"training={training}"]
    with pytest.raises(
        ConfigError, match=rf"^{' and '.join(clash)} do not .*training\.strengths.*Leave one"
    ):
        compose_config(["dataset=neu_det", "model=resnet18", *clash, "dataset.root=x"])


def documented_commands() -> list[list[str]]:
    root = Path(__file__).parents[3]
    files = [
        root / "README.md",
        *root.glob("docs/**/*.md"),
        *root.glob("configs/experiment/*.yaml"),
    ]
    found = []
    for path in files:
        text = re.sub(r"\\\n#?\s*", " ", path.read_text(encoding="utf-8"))
        for command in re.findall(r"python train\.py([^`\n|#]*)", text):
            words = [word for word in shlex.split(command) if not word.startswith("-")]
            if not any(word.startswith(("resume=", "sweep=")) for word in words):
                found.append(words)
    return found


def test_compose_config_list_in_single_quotes_that_cmd_keeps_is_read() -> None:
    config = compose_config([*NEU, "dataset.accept_classes='[good, b]'"])
    assert config.dataset.accept_classes == ["good", "b"]
    merged = compose_config([*NEU, "dataset.merge='{a: [b, c]}'"])
    assert merged.dataset.merge == {"a": ["b", "c"]}


def test_documents_quote_settings_so_that_cmd_takes_them() -> None:
    root = Path(__file__).parents[3]
    texts = [
        path.read_text(encoding="utf-8") for path in (root / "README.md", *root.glob("docs/*.md"))
    ]
    assert [
        found for text in texts for found in re.findall(r"'[a-z_]+(?:\.[a-z_]+)*=[^\n]*", text)
    ] == []


def test_compose_config_knows_every_documented_command() -> None:
    commands = documented_commands()
    assert len(commands) > 15
    assert ["experiment=neu_corrupted", "dataset.root=NEU-DET.zip"] in commands
    for command in commands:
        for one in expand_multirun(command):
            compose_settings(one)
