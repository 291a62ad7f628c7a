"""One file from a web address: resumed where it stopped, checked, and then renamed into place.

What has arrived is kept in a hidden file beside the place of the whole one, with a note on which
version of the remote file it belongs to. The next call asks for the rest of that version (RFC 9110,
Range and If-Range); a server whose file has changed sends the new one from its beginning.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sihwa.errors import DownloadError, StorageError
from sihwa.storage.files import hold, sha256_of_file, write_json, writing
from sihwa.terminal.console import note
from sihwa.terminal.progress import progress_bar

_ATTEMPTS = 5
"""Failures in a row, without one new byte between them, that end a download."""
_BLOCK = 2**18
_MIB = 2**20
_MOST_BYTES = 100 * 2**30


class RemoteFile(NamedTuple):
    """A file at a web address, and what is known of it."""

    address: str
    sha256: str | None = None
    size: int | None = None
    """In bytes."""


class _Version(NamedTuple):
    """What tells one version of a remote file from another; a server need not give any of it."""

    address: str
    validator: str | None
    """A strong ETag, else the time of the last change."""
    total: int | None
    """In bytes."""


class _Interrupted(Exception):
    """The connection failed; what has arrived is kept."""


class SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses to be led from an encrypted address to another."""

    def redirect_request(self, *given: Any) -> urllib.request.Request | None:  # noqa: ANN401
        """Follow a redirect, unless it leaves https."""
        request, address = given[0], given[-1]
        if request.full_url.startswith("https:") and not address.startswith("https:"):
            raise DownloadError(
                f"{request.full_url}: refused: it leads to {address!a}, unencrypted"
            )
        return super().redirect_request(*given)


def download(remote: RemoteFile, path: Path, timeout_s: float = 60.0) -> str:
    """Download a file to `path`, resuming an earlier call, and return its hex SHA-256.

    Args:
        remote: The file; its size and SHA-256 are checked if they are known.
        path: Where it goes, in one step, once it is whole. What has arrived is kept in hidden files
            beside it until then.
        timeout_s: Longest wait for the next bytes, in seconds.

    Raises:
        DownloadError: The server has no such file, fails again and again, or gives another file.
        StorageError: The disk is full, or another process downloads to the same place.
    """
    if not remote.address.startswith(("https://", "http://")):
        raise DownloadError(
            f"expected an address that begins with https://, got {remote.address!a}"
        )
    name = path.name.lstrip(".")[:64]
    part, lock = path.with_name(f".{name}.part"), path.with_name(f".{name}.lock")
    with hold(lock, path, "Wait until it ends"):
        try:
            _receive(remote, part, timeout_s)
            sha256 = _check(remote, part)
            with writing(path):
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                part.replace(path)
                _note_of(part).unlink(missing_ok=True)
        except KeyboardInterrupt:
            note(f"{_size(part)} bytes of the download are kept; the same command resumes it")
            raise
        finally:
            with contextlib.suppress(OSError):  # Windows keeps a file that is open
                lock.unlink()
    return sha256


def _receive(remote: RemoteFile, part: Path, timeout_s: float) -> None:
    """Show a progress bar until the file is whole, or until nothing more comes."""
    with progress_bar("downloading", lambda: _total_mib(part), "MiB") as advance:
        shown = 0

        def show(size: int) -> None:
            nonlocal shown
            advance(size // _MIB - shown)
            shown = size // _MIB

        _receive_all(remote, part, timeout_s, show)


def _receive_all(
    remote: RemoteFile, part: Path, timeout_s: float, show: Callable[[int], None]
) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _receive_rest(remote, part, timeout_s, show)
        except _Interrupted as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= _ATTEMPTS:
                kept = f"; {_size(part)} bytes are kept: run the same command again to resume"
                raise DownloadError(
                    f"{remote.address}: {error}, {_ATTEMPTS} times without progress"
                    f"{kept if _size(part) else ''}"
                ) from error
        else:
            return


def _receive_rest(
    remote: RemoteFile, part: Path, timeout_s: float, show: Callable[[int], None]
) -> None:
    """Ask for what is missing and append it; start again if the remote file has changed."""
    known, start = _read_note(part, remote.address), _size(part)
    if known is None or not start:
        known, start = None, 0
    elif known.total == start:
        return
    response = _open(remote.address, known, start, timeout_s)
    if response is None:
        _start_again(remote, part)
    with contextlib.closing(response):
        version = _version(remote.address, response, start)
        if response.status == 206 and (version != known or not _begins_at(response, start)):
            _start_again(remote, part)
        if response.status != 206:
            if start:
                note(f"{remote.address}: sent from the beginning: it changed, or cannot be resumed")
            _forget(part)
            start = 0
        _require_room(remote, version, part, start)
        with writing(part):
            write_json(_note_of(part), version._asdict())
        _append(response, part, start, remote.size or version.total or _MOST_BYTES, show)
    if version.total is not None and _size(part) != version.total:
        raise _Interrupted(f"the connection ended at byte {_size(part)} of {version.total}")


def _start_again(remote: RemoteFile, part: Path) -> NoReturn:
    note(f"{remote.address}: the file changed on the server; starting again")
    _forget(part)
    raise _Interrupted("the file changed on the server")


def _open(
    address: str, known: _Version | None, start: int, timeout_s: float
) -> http.client.HTTPResponse | None:
    """Send the request; None if the server does not have the range that was asked for."""
    headers = {"User-Agent": "sihwa", "Accept-Encoding": "identity"}
    if known is not None and known.validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": known.validator}
    request = urllib.request.Request(address, headers=headers)
    try:
        opened: Any = urllib.request.build_opener(SecureRedirects).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            return None
        if error.code in (408, 429) or error.code >= 500:
            raise _Interrupted(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(
            f"{address}: the server answered {error.code} {error.reason}; the file may have moved"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(_reason(error)) from error
    response: http.client.HTTPResponse = opened
    return response


def _append(
    response: http.client.HTTPResponse,
    part: Path,
    start: int,
    most: int,
    show: Callable[[int], None],
) -> None:
    """Write the body behind the first `start` bytes of the part."""
    with writing(part), part.open("ab") as file:
        file.truncate(start)
        size = start
        show(size)
        for block in _blocks(response):
            if size + len(block) > most:
                raise DownloadError(f"{response.url}: expected at most {most} bytes, got more")
            file.write(block)
            size += len(block)
            show(size)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read1(_BLOCK)  # what is there, so that a stall loses nothing
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(_reason(error)) from error
        if not block:
            return
        yield block


def _version(address: str, response: http.client.HTTPResponse, start: int) -> _Version:
    tag = response.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else None
    length = response.headers.get("Content-Length", "")
    total = int(length) if re.fullmatch(r"\d{1,15}", length) else None
    if response.status == 206:
        total = total + start if total is not None else None
    return _Version(address, strong or response.headers.get("Last-Modified"), total)


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _require_room(remote: RemoteFile, version: _Version, part: Path, start: int) -> None:
    if version.total is None:
        return
    if remote.size is not None and version.total != remote.size:
        raise DownloadError(
            f"{remote.address}: expected {remote.size} bytes, the server has {version.total}; "
            "it may be another version of the file"
        )
    free = shutil.disk_usage(part.parent).free
    if version.total - start > free:
        raise StorageError(f"{part.parent}: {version.total - start} bytes are needed, {free} free")


def _check(remote: RemoteFile, part: Path) -> str:
    """Return the SHA-256 of the whole file; throw away one that is not what was expected."""
    size, sha256 = _size(part), sha256_of_file(part)
    if remote.size not in (None, size) or remote.sha256 not in (None, sha256):
        _forget(part)
        raise DownloadError(
            f"{remote.address}: expected {remote.size or size} bytes with SHA-256 {remote.sha256}, "
            f"got {size} with {sha256}; it was thrown away"
        )
    return sha256


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path, address: str) -> _Version | None:
    """Return the version that the part belongs to, if it can be resumed."""
    try:
        version = _Version(**json.loads(_note_of(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return version if version.address == address and isinstance(version.validator, str) else None


def _total_mib(part: Path) -> int | None:
    try:
        total = json.loads(_note_of(part).read_text(encoding="utf-8"))["total"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return total // _MIB if isinstance(total, int) else None


def _forget(part: Path) -> None:
    with writing(part):
        part.unlink(missing_ok=True)
        _note_of(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return "no answer in time" if isinstance(cause, TimeoutError) else str(cause) or repr(cause)
