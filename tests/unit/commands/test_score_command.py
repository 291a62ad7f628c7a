from pathlib import Path

import pytest

from sihwa.commands.score_command import _print_summary
from sihwa.scoring import ScoreSummary


def test_print_summary_error_that_looks_like_markup_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = ScoreSummary()
    summary.errors["no a[/b].zip!/none.png"] = 1
    _print_summary(summary, Path("scores"))
    assert "no a[/b].zip!/none.png" in capsys.readouterr().out


def test_print_summary_what_could_not_be_read_is_not_said_to_have_changed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print_summary(ScoreSummary(changed=1), Path("scores"))
    assert "1 files or lists were tried again: " in capsys.readouterr().out
