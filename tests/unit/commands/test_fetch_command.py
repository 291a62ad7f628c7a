"""`sihwa fetch`: terms first, then the files, or where to get them."""

import hashlib
import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sihwa.commands.cli import app
from sihwa.commands.fetch_command import fetch, fetch_set
from sihwa.dataset.public_sets import PUBLIC_SETS
from sihwa.errors import ConfigError, DownloadError, StorageError
from sihwa.storage.download import RemoteFile
from tests.unit.storage.web_server import Remote, serving

X_SDD = PUBLIC_SETS["x_sdd"]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def packed(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return file.getvalue()


def test_fetch_is_a_command_of_sihwa() -> None:
    result = CliRunner().invoke(app, ["fetch"])
    assert result.exit_code == 0
    assert "kolektor_sdd2" in result.output


def test_fetch_without_a_name_lists_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    fetch(None, None)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(PUBLIC_SETS)
    for row, public in zip(rows, PUBLIC_SETS.values(), strict=True):
        assert public.licence in row
        assert public.page in row


@pytest.mark.parametrize(
    "name", [name for name, public in PUBLIC_SETS.items() if public.archive is None]
)
def test_fetch_set_without_an_address_tells_how_to_get_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    public = PUBLIC_SETS[name]
    with pytest.raises(DownloadError, match=f"{name} has no stable .* dataset={name}") as caught:
        fetch(name, None)
    assert caught.value.exit_code == 1
    assert len(public.by_hand) > 20
    said = capsys.readouterr().out
    assert all(fact in said for fact in (public.licence, public.citation, public.page))
    assert public.layout[0] in said


def test_fetch_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'kolektor_sd'; nearest: kolektor_sdd"):
        fetch("kolektor_sd", None)


def test_fetch_set_downloads_unpacks_and_says_how_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = packed("X-SDD/datas/red iron/2001.jpg", "X-SDD/datas/slag inclusion/1001.jpg")
    with serving(Remote(content, stops=[50])) as remote:
        fetch_set(replace(X_SDD, archive=RemoteFile(remote.address)), tmp_path / "x_sdd")
    captured = capsys.readouterr()
    said = captured.out
    assert said.index(X_SDD.licence) < said.index(remote.address)
    assert f"SHA-256 {hashlib.sha256(content).hexdigest()}: nothing is known" in said
    assert f"dataset=x_sdd dataset.root={tmp_path / 'x_sdd'}" in said
    assert (tmp_path / "x_sdd/X-SDD/datas/red iron/2001.jpg").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["x_sdd"]
    assert "not laid out" not in captured.err


def test_fetch_set_other_layout_than_documented_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Remote(packed("good/a.jpg"))) as remote:
        fetch_set(replace(X_SDD, archive=RemoteFile(remote.address)), tmp_path / "x_sdd")
    assert "not laid out as documented" in capsys.readouterr().err


def test_fetch_set_hostile_archive_writes_nothing(tmp_path: Path) -> None:
    with serving(Remote(packed("../evil.jpg"))) as remote:
        public = replace(X_SDD, archive=RemoteFile(remote.address))
        with pytest.raises(DownloadError, match="leaves the folder"):
            fetch_set(public, tmp_path / "in" / "x_sdd")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_fetch_set_without_room_to_unpack_keeps_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    with serving(Remote(packed("X-SDD/datas/red iron/2001.jpg"), sized=False)) as remote:
        public = replace(X_SDD, archive=RemoteFile(remote.address))
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=-1))
            with pytest.raises(StorageError, match="bytes are needed"):
                fetch_set(public, tmp_path / "x_sdd")
        fetch_set(public, tmp_path / "x_sdd")
        assert len(remote.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x_sdd"]


def test_fetch_set_folder_with_files_is_refused_before_the_download(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with serving(Remote(packed("a"))) as remote:
        public = replace(X_SDD, archive=RemoteFile(remote.address))
        with pytest.raises(StorageError, match="expected a new or an empty folder"):
            fetch_set(public, tmp_path)
        assert remote.asked == []
