"""A download from a server that stalls, breaks off, changes its file or sends another."""

import hashlib
import shutil
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sihwa.errors import DownloadError, StorageError
from sihwa.storage import hold
from sihwa.storage.download import RemoteFile, SecureRedirects, download
from tests.unit.storage.web_server import Remote, serving

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def fetch(
    remote: Remote, folder: Path, sha256: str | None = SHA256, size: int | None = None
) -> str:
    timeout_s = 0.2 if remote.stall else 20.0
    return download(RemoteFile(remote.address, sha256, size), folder / "set.zip", timeout_s)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sized", [True, False], ids=["length", "chunked"])
def test_download_gives_the_file_and_its_hash(tmp_path: Path, sized: bool) -> None:
    with serving(Remote(CONTENT, sized=sized)) as remote:
        assert fetch(remote, tmp_path, None, len(CONTENT)) == SHA256
    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert names_in(tmp_path) == ["set.zip"]


@pytest.mark.parametrize("stall", [False, True], ids=["breaks off", "stalls"])
def test_download_that_is_interrupted_asks_for_the_rest(tmp_path: Path, stall: bool) -> None:
    with serving(Remote(CONTENT, stops=[1000, 500], stall=stall)) as remote:
        assert fetch(remote, tmp_path) == SHA256
    assert remote.asked == [None, "bytes=1000-", "bytes=1500-"]
    assert remote.conditions == [None, '"1"', '"1"']


@pytest.mark.parametrize("etag", ['W/"1"', None])
def test_download_without_a_strong_version_is_not_resumed(tmp_path: Path, etag: str | None) -> None:
    with serving(Remote(CONTENT, etag=etag, stops=[1000])) as remote:
        assert fetch(remote, tmp_path) == SHA256
    assert remote.asked == [None, None]


def test_download_without_progress_ends_and_the_next_call_resumes(tmp_path: Path) -> None:
    with serving(Remote(CONTENT, stops=[1000, 0, 0, 0, 0])) as remote:
        with pytest.raises(DownloadError, match=r"1000 of 102400, 5 times .*; 1000 bytes are kept"):
            fetch(remote, tmp_path)
        assert not (tmp_path / "set.zip").exists()
        assert fetch(remote, tmp_path) == SHA256
    assert remote.asked == [None, *["bytes=1000-"] * 5]


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("etag", ['"2"', 'W/"2"', None])
def test_download_changed_between_the_parts_starts_again(
    tmp_path: Path, ranges: bool, etag: str | None
) -> None:
    with serving(Remote(b"x" * 5000, stops=[1000, 0, 0, 0, 0], ranges=ranges)) as remote:
        with pytest.raises(DownloadError):
            fetch(remote, tmp_path)
        remote.content, remote.etag = CONTENT, etag
        assert fetch(remote, tmp_path) == SHA256


def test_download_server_that_ignores_if_range_is_noticed(tmp_path: Path) -> None:
    """It sends the rest of the new file as the rest of the old one, but with another ETag."""
    with serving(Remote(b"x" * len(CONTENT), stops=[1000, 0, 0, 0, 0])) as remote:
        with pytest.raises(DownloadError):
            fetch(remote, tmp_path)
        remote.content, remote.etag, remote.ignores_if_range = CONTENT, '"2"', True
        assert fetch(remote, tmp_path, None) == SHA256
    assert remote.asked[-2:] == ["bytes=1000-", None]


def test_download_shorter_file_than_before_starts_again(tmp_path: Path) -> None:
    with serving(Remote(b"x" * 200_000, stops=[150_000, 0, 0, 0, 0])) as remote:
        with pytest.raises(DownloadError):
            fetch(remote, tmp_path)
        remote.content = CONTENT  # under the same ETag; the range that is asked for is gone
        assert fetch(remote, tmp_path) == SHA256


def test_download_part_of_another_address_is_not_used(tmp_path: Path) -> None:
    other = Remote(b"x" * 5000, stops=[1000, 0, 0, 0, 0])
    with serving(other), pytest.raises(DownloadError):
        fetch(other, tmp_path)
    with serving(Remote(CONTENT)) as remote:
        assert fetch(remote, tmp_path) == SHA256
    assert remote.asked == [None]


def test_download_damaged_note_starts_again(tmp_path: Path) -> None:
    (tmp_path / ".set.zip.part").write_bytes(b"x" * 1000)
    (tmp_path / ".set.zip.part.json").write_text('{"address": [1], "total": "x"}')
    with serving(Remote(CONTENT)) as remote:
        assert fetch(remote, tmp_path) == SHA256


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sha256": "0" * 64}, f"SHA-256 {'0' * 64}, got 102400 with {SHA256}; it was thrown"),
        ({"size": 7}, "expected 7 bytes, the server has 102400"),
    ],
)
def test_download_other_file_than_expected_is_refused(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with serving(Remote(CONTENT)) as remote, pytest.raises(DownloadError, match=message):
        fetch(remote, tmp_path, **given)
    assert names_in(tmp_path) == []


def test_download_more_than_expected_stops_early(tmp_path: Path) -> None:
    with (
        serving(Remote(CONTENT, sized=False)) as remote,
        pytest.raises(DownloadError, match="expected at most 7 bytes, got more"),
    ):
        fetch(remote, tmp_path, None, 7)


@pytest.mark.parametrize(
    ("status", "asked", "message"),
    [(404, 1, "answered 404 .*may have moved"), (503, 5, "answered 503 .*5 times")],
)
def test_download_refused_by_the_server_is_one_line(
    tmp_path: Path, status: int, asked: int, message: str
) -> None:
    with (
        serving(Remote(CONTENT, status=status)) as remote,
        pytest.raises(DownloadError, match=message),
    ):
        fetch(remote, tmp_path)
    assert len(remote.asked) == asked


def test_download_nobody_there_is_one_line(tmp_path: Path) -> None:
    with serving(Remote(CONTENT)) as remote:
        pass
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*refused.*5 times without progress$"):
        fetch(remote, tmp_path)
    assert names_in(tmp_path) == []


def test_download_stopped_by_ctrl_c_says_that_it_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*_: object) -> None:
        raise KeyboardInterrupt

    remote = Remote(CONTENT)
    with serving(remote):
        with monkeypatch.context() as patched:
            patched.setattr("sihwa.storage.download._check", press)
            with pytest.raises(KeyboardInterrupt):
                fetch(remote, tmp_path)
        assert f"{len(CONTENT)} bytes of the download are kept" in capsys.readouterr().err
        assert not {"set.zip", ".set.zip.lock"} & set(names_in(tmp_path))
        assert fetch(remote, tmp_path) == SHA256


def test_download_by_two_processes_at_once_is_refused(tmp_path: Path) -> None:
    with (
        serving(Remote(CONTENT)) as remote,
        hold(tmp_path / ".set.zip.lock", tmp_path / "set.zip", "held here"),
        pytest.raises(StorageError, match="another process"),
    ):
        fetch(remote, tmp_path)
    assert remote.asked == []


@pytest.mark.parametrize("moved", ["file:///etc/passwd", "http://127.0.0.1:1/elsewhere"])
def test_download_redirect_to_nowhere_is_refused(tmp_path: Path, moved: str) -> None:
    with serving(Remote(CONTENT, moved=moved)) as remote, pytest.raises(DownloadError):
        fetch(remote, tmp_path)


def test_download_is_not_led_from_https_to_http() -> None:
    request = urllib.request.Request("https://host.invalid/a")
    with pytest.raises(DownloadError, match=r"leads to 'http://host.invalid/b', unencrypted"):
        SecureRedirects().redirect_request(request, None, 302, "", {}, "http://host.invalid/b")


def test_download_other_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="begins with https://"):
        download(RemoteFile("file:///etc/passwd"), tmp_path / "x")


def test_download_full_disk_is_said_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with serving(Remote(CONTENT)) as remote:
        with pytest.raises(StorageError, match="102400 bytes are needed, 1000 free"):
            fetch(remote, tmp_path)
        assert remote.asked == [None]
