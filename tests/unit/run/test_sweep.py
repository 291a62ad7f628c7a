from pathlib import Path

import pytest

from sihwa.errors import ConfigError
from sihwa.run.compose import compose_config, config_dir
from sihwa.run.sweep import read_sweep, run_sweep


@pytest.mark.parametrize("name", [path.stem for path in (config_dir() / "sweep").glob("*.yaml")])
def test_read_sweep_shipped_one_names_existing_settings(name: str) -> None:
    sweep = read_sweep(name)
    chosen = [
        f"{key}={span.choices[0] if span.choices else span.low}"
        for key, span in sweep.space.items()
    ]
    compose_config(["training=stages", *sweep.settings, *chosen])


def test_read_sweep_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"sweep must be one of finetune.* got 'fine'"):
        read_sweep("fine")


INVALID_RANGES = (
    "", "low: 1.0", "low: a", "low: 1, high: b", "low: 1, high: 0",
    "low: 0.0, high: 1.0, log: true", "low: 0.0, high: 1.0, choices: [1]",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (f"space: {{training.ema: {{{span}}}}}", "training.ema: expected either low < high")
            for span in INVALID_RANGES
        ),
        ("space: {seed: {choices: [1, 2]}}", "seed: expected a setting of augmentation, model,"),
        ("space: {dataset.root: {choices: [a]}}", "the images,.* are the same in all trials"),
        ("trails: 3\nspace: {model.stages: {choices: [1]}}", "trails"),
        ("trials: 3", "expected trials of at least 1 and a space"),
        ("space: [", "while parsing"),
        ("- seed", "Expected `object`, got `array`"),
    ],
)
def test_read_sweep_invalid_file_names_the_reason(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"^sweep .*mine\.yaml: .*{message}"):
        read_sweep(str(tmp_path / "mine.yaml"))


def test_run_sweep_training_without_its_settings_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sweep=finetune does not fit.*training=stages"):
        run_sweep("finetune", ["training=probe"])


def test_run_sweep_range_beyond_the_limit_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text("space: {training.ema: {low: 0.5, high: 7.0}}")
    given = ["training=stages", f"output_dir={tmp_path / 'out'}"]
    with pytest.raises(ConfigError, match=r"training\.ema must be .*got 7\.0"):
        run_sweep(str(tmp_path / "far.yaml"), given)
    assert not (tmp_path / "out").exists()


def test_read_sweep_settings_stay_as_typed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("settings: [dataset.licence=1_1]\nspace: {model.stages: {choices: [1]}}\n")
    assert compose_config(read_sweep(str(path)).settings).dataset.licence == "1_1"
