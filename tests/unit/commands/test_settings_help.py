import re
from dataclasses import fields, is_dataclass

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sihwa.commands.settings_help import describe_settings
from sihwa.run.compose import config_dir
from sihwa.run.config import register_schemas

CHOICES = [
    *(f"dataset={name}" for name in ("elpv", "image_folder", "manifest", "neu_det")),
    *(f"training={name}" for name in ("finetune", "probe", "stages")),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_describe_settings_each_of_them_has_its_value_and_a_meaning(choice: str) -> None:
    register_schemas()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", [choice])
    text = describe_settings(config)
    names = []

    def visit(settings: type, node: object) -> None:
        for field in fields(settings):
            names.append(field.name)
            below = OmegaConf.get_type(node, field.name)
            if is_dataclass(below):
                visit(below, node[field.name])  # type: ignore[index]

    visit(OmegaConf.get_type(config), config)  # type: ignore[arg-type]
    assert sorted(re.findall(r"^ {,6}(\w+):", text, re.MULTILINE)) == sorted(names)
    rooms = re.findall(r"^ {,6}\w+:$", text, re.MULTILINE)
    meanings = re.findall(r"^ {,6}\w+: .+?(?: {2,}|\n {38})[^ ]+ .+$", text, re.MULTILINE)
    assert len(rooms) + len(meanings) == len(names)
    assert max(map(len, text.splitlines())) <= 100


def test_describe_settings_shows_values_as_yaml_writes_them() -> None:
    register_schemas()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", ["dataset=neu_det", "training=stages", "seed=7"])
    text = describe_settings(config)
    assert "\nseed: 7                               Seeds splits, folds" in text
    assert "\n  root: ???    " in text
    assert "\n    train_per_class: null " in text
    assert "\n  accept_classes: []  " in text
    assert "\n  mlflow: ''  " in text
    assert "\n  int8: false  " in text
    # what a stage has in common with fine-tuning is written where that is
    assert "  epochs: 14                          Passes over the training images" in text
