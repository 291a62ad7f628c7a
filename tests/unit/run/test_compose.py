import re
import shlex
from pathlib import Path

import pytest

from sihwa.dataset import NeuDetConfig
from sihwa.errors import ConfigError
from sihwa.run.compose import check_overrides, compose_config, config_dir, each_value
from sihwa.training import ProbeConfig

NEU = ["dataset=neu_det", "dataset.root=NEU-DET.zip"]


def test_compose_config_defaults_are_typed() -> None:
    config = compose_config([])
    assert config.dataset.name == "ELPV"
    assert isinstance(config.training, ProbeConfig)
    assert config.seed == 0


def test_compose_config_known_settings_may_be_forced() -> None:
    assert compose_config(["++seed=3", "++training.folds=4"]).seed == 3


def test_compose_config_overrides_arrive() -> None:
    config = compose_config([*NEU, "seed=3", "training.folds=7"])
    assert isinstance(config.dataset, NeuDetConfig)
    assert config.dataset.root == "NEU-DET.zip"
    assert isinstance(config.training, ProbeConfig)
    assert (config.seed, config.training.folds) == (3, 7)


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
    needed = {
        "neu_det": ["dataset.root=x"],
        "neu_det_probe": ["dataset.root=x"],
        "neu_det_finetune": ["dataset.root=x"],
        "neu_few_shot": ["dataset.root=x"],
        "neu_few_shot_stages": ["dataset.root=x"],
        "neu_corrupted": ["dataset.root=x"],
        "image_folder": ["dataset.root=x"],
        "manifest": ["dataset.path=x"],
    }
    compose_config([f"{option.parent}={option.stem}", *needed.get(option.stem, [])])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["sede=3"], "unknown setting 'sede'; nearest: seed", id="misspelt setting"),
        pytest.param(
            ["training.fold=3"],
            "unknown setting 'training.fold'; nearest: training.folds",
            id="nested",
        ),
        pytest.param(
            [*NEU, "dataset.rot=1"],
            "unknown setting 'dataset.rot'; nearest: dataset.root",
            id="of option",
        ),
        pytest.param(["datset=elpv"], "unknown setting 'datset'; nearest: dataset", id="group"),
        pytest.param(
            ["dataset=elvp"],
            "dataset must be one of elpv, .*; got 'elvp'; nearest: elpv",
            id="option",
        ),
        pytest.param(
            ["model=resnet81"],
            "model must be one of .*; got 'resnet81'; nearest: resnet18",
            id="model",
        ),
        pytest.param(["dataset=neu_det"], "dataset.root is required", id="mandatory"),
        pytest.param(["seed=many"], "^seed: expected a whole number, got 'many'$", id="type"),
        pytest.param(
            ["export=none", "export.int8=true"],
            "^export.int8=true needs an inspector",
            id="int8_model",
        ),
        pytest.param(
            ["export.int8=maybe"], "^export.int8: expected true or false, got 'maybe'$", id="bool"
        ),
        pytest.param(["seed=-1"], r"seed must be in \[0, 4294967295\], got -1", id="range"),
        pytest.param(["seed=99999999999999999999"], r"seed must be in \[0, ", id="huge"),
        pytest.param(["training=null"], "training must be one of finetune, probe", id="no option"),
        pytest.param(["experiment=null"], "experiment must be one of elpv", id="no experiment"),
        pytest.param(
            ["training.folds=1"], "training.folds must be at least 2, got 1", id="nested range"
        ),
        pytest.param(
            ["device=tpu"], "device must be one of auto, cpu, cuda; got 'tpu'", id="choice"
        ),
        pytest.param(["evaluation.confidence=1"], r"must be in \(0, 1\), got 1", id="confidence"),
        pytest.param(["evaluation.resamples=5"], r"in \[100, 100000\], got 5", id="resamples"),
        pytest.param(["export.max_difference=0.5"], r"must be in \(0, 0.01\]", id="tolerance"),
        pytest.param(["oops"], "not of the form setting=value", id="no value"),
        pytest.param(["seed=1,2"], r"^seed: several values \(1,2\) need --multirun", id="several"),
        pytest.param(["seed=null"], "^seed: expected a value, got null", id="null"),
        pytest.param(["seed=${x}"], "^seed: Interpolation key 'x' not found", id="reference"),
        pytest.param(
            ["dataset.accept_classes=양품"], r"expected a list, such as '\[\"양품\"\]'", id="list"
        ),
        pytest.param(["=1"], "not of the form setting=value", id="no name"),
        pytest.param(["output_dir="], "^output_dir must name a folder, got nothing", id="empty"),
        pytest.param(["cache_dir=' '"], "^cache_dir must name a folder, got nothing", id="blank"),
        pytest.param(["+foo=1"], "unknown setting 'foo'", id="added"),
        pytest.param(["++training.fold=5"], "nearest: training.folds", id="forced"),
        pytest.param(["~training"], "cannot be taken away", id="deleted"),
        pytest.param(["hydra/launcher=joblib"], "hydra/launcher", id="of Hydra"),
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
        (["model=glob(r*)", "sede=3"], "unknown setting 'sede'"),
        (["model=glob(x*)"], r"got 'x\*'"),
        (["training.folds=range(1,4)"], "training.folds must be at least 2, got 1"),
    ],
)
def test_each_value_of_a_multirun_is_looked_at(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(map(compose_config, each_value(overrides)))


def test_each_value_comes_up_once() -> None:
    found = list(each_value(["model=glob(resnet*)", "seed=range(0,3)", "device=cpu"]))
    assert found == [
        ["model=resnet18", "seed=0", "device=cpu"],
        ["model=resnet50", "seed=0", "device=cpu"],
        ["model=resnet18", "seed=1", "device=cpu"],
        ["model=resnet18", "seed=2", "device=cpu"],
    ]


def test_check_overrides_asks_for_nothing_that_is_missing() -> None:
    check_overrides(["dataset=neu_det"])
    with pytest.raises(ConfigError, match="unknown setting 'datset'"):
        check_overrides(["dataset=neu_det", "datset=1"])


@pytest.mark.parametrize("training", ["finetune", "stages"])
def test_compose_config_options_that_do_not_go_together_are_named(training: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(["experiment=neu_few_shot", f"training={training}", "dataset.root=x"])
    assert str(caught.value) == (
        f"experiment=neu_few_shot and training={training} do not go together: training.strengths "
        "is set by one and unknown to another. Leave one of them out"
    )


def test_compose_config_only_options_that_clash_are_named() -> None:
    others = ["dataset=neu_det", "model=resnet18", "dataset.root=x"]
    with pytest.raises(ConfigError, match=r"^experiment=neu_few_shot and training=stages do not"):
        compose_config([*others, "experiment=neu_few_shot", "training=stages"])


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


def test_compose_config_knows_every_documented_command() -> None:
    commands = documented_commands()
    assert len(commands) > 20
    assert ["experiment=neu_corrupted", "dataset.root=NEU-DET.zip"] in commands
    for command in commands:
        for one in each_value(command):
            check_overrides(one)
