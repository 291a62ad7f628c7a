from pathlib import Path

import pytest

from sihwa.commands.score_command import _print_summary
from sihwa.scoring import ScoreSummary


def test_print_summary_shows_errors_as_they_are_and_counts_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = ScoreSummary(changed=1)
    summary.errors["no a[/b].zip!/none.png"] = 1
    _print_summary(summary, Path("scores"))
    shown = capsys.readouterr().out
    assert "no a[/b].zip!/none.png" in shown
    assert "1 files or lists were scored again: " in shown
