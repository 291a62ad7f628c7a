from pathlib import Path

import pytest

from sihwa.errors import ConfigError
from sihwa.workshop.compose import compose_config, config_dir
from sihwa.workshop.sweep import Range, SweepConfig, read_sweep


@pytest.mark.parametrize("name", [path.stem for path in (config_dir() / "sweep").glob("*.yaml")])
def test_read_sweep_every_shipped_one_names_settings_that_exist(name: str) -> None:
    sweep = read_sweep(name)
    chosen = [
        f"{key}={span.choices[0] if span.choices else span.low}"
        for key, span in sweep.space.items()
    ]
    compose_config(["training=stages", *sweep.settings, *chosen])


def test_read_sweep_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"sweep must be one of finetune.* got 'fine'"):
        read_sweep("fine")


def test_read_sweep_misspelt_key_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("trails: 3\nspace: {seed: {choices: [1]}}\n")
    with pytest.raises(ConfigError, match="trails"):
        read_sweep(str(path))


@pytest.mark.parametrize(
    "span",
    [{}, {"low": 1.0}, {"low": 2.0, "high": 1.0}, {"low": 0.0, "high": 1.0, "log": True},
     {"low": 0.0, "high": 1.0, "choices": [1]}],
    ids=str,
)  # fmt: skip
def test_range_without_anything_to_choose_is_refused(span: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="either low < high"):
        Range(**span)  # type: ignore[arg-type]


def test_sweep_config_without_space_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected trials of at least 1 and a space"):
        SweepConfig()
