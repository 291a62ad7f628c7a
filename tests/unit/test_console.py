import os
from pathlib import Path

import pytest

from sihwa.console import errors_as_lines
from sihwa.scoring import Sources


def test_errors_as_lines_a_name_cannot_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / os.fsdecode(b"new\nline \x1bc\xff.tgz")
    packed.touch()
    with pytest.raises(SystemExit), errors_as_lines():
        Sources([packed])
    [line] = capsys.readouterr().err.splitlines()
    assert r"new\nline \x1bc\xff.tgz: a packed .tar" in line
