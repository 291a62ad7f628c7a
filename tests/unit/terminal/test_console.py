import logging
import sys
import warnings

import pytest
import typer

from sihwa.errors import ConfigError
from sihwa.terminal.console import pasteable, quieten, run_commands


def test_quieten_hides_warnings_and_named_loggers_until_its_end(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def speak(word: str) -> None:
        logging.getLogger("chatty").error("%s chatty", word)
        logging.getLogger("other").error("%s other", word)
        warnings.warn(word, stacklevel=1)

    def fail() -> None:
        speak("within")
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"), quieten("chatty"):
        fail()
    speak("after")
    assert caplog.messages == ["within other", "after chatty", "after other"]
    assert [str(one.message) for one in recwarn] == ["after"]


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    app.command("score")(lambda: None)
    app.command("verify")(lambda: None)
    return app


def test_run_commands_without_a_command_shows_the_help_alone(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sihwa"])
    with pytest.raises(SystemExit) as ended:
        run_commands(app)
    assert ended.value.code == 2
    assert "verify" in "".join(capsys.readouterr())


def test_run_commands_misspelt_command_names_the_nearest(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["sihwa", "scoer"])
    with pytest.raises(ConfigError, match=r"'scoer'\..*'score'\? See `.+ --help`$"):
        run_commands(app)


@pytest.mark.parametrize(
    ("system", "expected"), [("posix", "a 'resume=b c'"), ("nt", 'a "resume=b c"')]
)
def test_pasteable_suits_the_shell_of_the_system(
    monkeypatch: pytest.MonkeyPatch, system: str, expected: str
) -> None:
    monkeypatch.setattr("sihwa.terminal.console.os.name", system)
    found = pasteable(["a", "resume=b c"])
    monkeypatch.undo()  # pytest's own paths depend on it
    assert found == expected
