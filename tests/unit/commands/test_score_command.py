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


def test_print_summary_changed_files_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print_summary(ScoreSummary(changed=1), Path("scores"))
    assert "1 files or lists were scored again: " in capsys.readouterr().out
