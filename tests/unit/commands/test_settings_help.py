import re
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from omegaconf import OmegaConf

from sihwa.commands.settings_help import help_text
from sihwa.run.compose import compose_settings

CHOICES = [
    *(
        f"dataset={name}"
        for name in ("auto", "elpv", "image_folder", "manifest", "neu_det", "x_sdd")
    ),
    *(f"training={name}" for name in ("finetune", "probe", "stages")),
]


def names_of(settings: Any) -> list[str]:  # noqa: ANN401 -- a node of settings
    """Return the name of every setting, with those of each group before those below it."""
    found = []
    for field in fields(OmegaConf.get_type(settings)):  # type: ignore[arg-type]
        found.append(field.name)
        if is_dataclass(OmegaConf.get_type(settings, field.name)):
            found += names_of(settings[field.name])
    return found


@pytest.mark.parametrize("choice", CHOICES)
def test_help_text_every_setting_has_value_and_meaning(choice: str) -> None:
    config = compose_settings([choice])
    text = help_text(config).rpartition("Settings (setting=value)\n")[2]
    names = names_of(config)
    assert re.findall(r"^ {,6}(\w+):", text, re.MULTILINE) == names
    groups = re.findall(r"^ {,6}\w+:$", text, re.MULTILINE)
    meanings = re.findall(r"^ {,6}\w+: .+?(?: {2,}|\n {38})[^ ]+ .+$", text, re.MULTILINE)
    assert len(groups) + len(meanings) == len(names)
    assert max(map(len, text.splitlines())) <= 100


def test_help_text_shows_values_as_yaml() -> None:
    text = help_text(compose_settings(["dataset=neu_det", "training=stages", "seed=7"]))
    assert "\nseed: 7                               Seeds splits, folds" in text
    assert "\n  root: ???    " in text
    assert "\n    train_per_class: null " in text
    assert "\n  mlflow: ''  " in text
    # an inherited setting has the meaning that its base class gives
    assert "  epochs: 14                          Passes over the training images" in text
    assert "\ntraining: finetune, probe, stages" in text
