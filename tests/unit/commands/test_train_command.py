from pathlib import Path

import pytest

from sihwa.commands.train_command import launch
from sihwa.errors import SihwaError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--help", "datset=elpv"], "nearest: dataset"),
        (["--foo"], "arguments: --foo. Flags are --help"),
        (["sweep=a", "sweep=b"], "expected one sweep"),
        (["sweep=a", "-m"], "takes no flags; remove -m"),
        (["resume=a", "seed=3"], "remove seed=3"),
        (["resume=nowhere"], "expected a run folder, .* holds no config"),
        (["-m", "model.architecture=resnet18,resnet81", "model.weights=none"], "'resnet81'"),
    ],
)
def test_launch_mistake_is_refused_before_any_run(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SihwaError, match=message):
        launch(words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--help", "dataset=neu_det"], "\n  input_size: 224  "),
        (["--version"], "sihwa "),
        (["--cfg", "job", "seed=3"], "\nseed: 3\n"),
        (["-c", "job", "output_dir=out"], "\noutput_dir: out\n"),
    ],
)
def test_launch_flag_prints_without_training(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(words)
    assert text in capsys.readouterr().out
