from pathlib import Path

import pytest

from sihwa.commands.score_command import _print_summary, _score
from sihwa.scoring import ScoreOptions, ScoreSummary
from sihwa.scoring.engine import LocalEngine
from tests.helpers import random_images, save_images
from tests.score_helpers import stub_inspector


def test_print_summary_shows_errors_as_they_are_and_counts_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = ScoreSummary(changed=1)
    summary.errors["no a[/b].zip!/none.png"] = 1
    _print_summary(summary, Path("scores"))
    shown = capsys.readouterr().out
    assert "no a[/b].zip!/none.png" in shown
    assert "1 files or lists were scored again: " in shown


def test_score_resumed_with_evidence_tells_that_kept_rows_get_no_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "scores"
    save_images(folder, random_images(3, 20, 20))
    told = []
    for evidence, resume in (((), False), (("all",), True), ((), True)):
        options = ScoreOptions(evidence=evidence, resume=resume)
        _score(LocalEngine(stub_inspector(), options), [str(folder)], out, options)
        told.append(capsys.readouterr().err)
    assert ["3 images had a row already" in one for one in told] == [False, True, False]
    assert not list(out.glob("evidence/**/*.jpg"))
