"""`sihwa evaluate`: figures on new labelled images."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.errors import ConfigError, DatasetError, SihwaError
from tests.helpers import CLASSES, random_images, save_images


def evaluate(*words: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)], catch_exceptions=False)
    return result.output


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for seed, name in enumerate(CLASSES):
        save_images(tmp_path / "parts" / name, random_images(4, 60, 50, seed))
    return tmp_path / "parts"


def test_evaluate_command_shows_figures_parts_and_unreadable_images(
    tiny_bundle: Path, parts: Path, tmp_path: Path
) -> None:
    (parts / "good" / "빈 파일.png").touch()
    out = tmp_path / "june.json"
    said = evaluate(
        tiny_bundle, parts, "--group-pattern", r"(\d\d\d)", "--out", out, "--against", tiny_bundle
    )
    assert "Escapes" in said
    assert "The other" in said
    assert "13 images of 5 parts; intervals count parts" in said
    assert "빈 파일.png: empty file" in said
    assert json.loads(out.read_text("utf-8"))["groups"] == 4


def test_evaluate_command_compares_with_the_card(
    tiny_bundle: Path, parts: Path, tmp_path: Path
) -> None:
    from sihwa.inspector import Bundle, read_bundle, write_bundle
    from tests.helpers import changed

    evaluate(tiny_bundle, parts, "--out", tmp_path / "then.json")
    bundle = read_bundle(tiny_bundle)
    metrics = json.loads((tmp_path / "then.json").read_text("utf-8"))
    card = changed(bundle.card, metrics=metrics)
    graph = bundle.graph[: card.graph.bytes]
    write_bundle(tmp_path / "trained", Bundle(card, graph, bundle.weights))
    said = evaluate(tmp_path / "trained", parts)
    assert "Training run" in said
    assert said.count("as before") == 6  # five figures and the line that explains it


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--group", "a", "--group-pattern", "b"], ConfigError, "give one of them"),
        (["--out", "x.csv"], ConfigError, r"must name a \.json file"),
        (["--group", "part"], DatasetError, "^--group: no column 'part'"),
        (["--group-pattern", "x("], ConfigError, "^--group-pattern: not a regular expression"),
        (["--group-pattern", "(x)"], DatasetError, r"--group-pattern \(x\): gives none"),
        (["--label", "truth"], DatasetError, "is no table"),
    ],
)
def test_evaluate_command_bad_option_is_named(
    tiny_bundle: Path, parts: Path, words: list[str], error: type[SihwaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(tiny_bundle, parts, *words)


def test_evaluate_command_keeps_a_file_that_exists(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "june.json").touch()
    with pytest.raises(ConfigError, match="exists already"):
        evaluate(tiny_bundle, tmp_path, "--out", tmp_path / "june.json")
