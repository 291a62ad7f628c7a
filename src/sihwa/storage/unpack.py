"""A .zip from elsewhere, unpacked into a new folder: whole, or not at all."""

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sihwa.errors import DownloadError, StorageError
from sihwa.storage.files import new_folder, writing
from sihwa.terminal.progress import progress_bar

_MOST_BYTES = 100 * 2**30
_MOST_FILES = 500_000
_ENCRYPTED = 0x1
_WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def unpack_zip(
    archive: Path, folder: Path, most_bytes: int = _MOST_BYTES, most_files: int = _MOST_FILES
) -> int:
    """Unpack an archive into a folder that does not exist or is empty; return how many files.

    All names and sizes are checked before the first byte is written.

    Raises:
        DownloadError: The archive is damaged or encrypted, a name leaves the folder or occurs
            twice, a member is a link, or there is more than allowed.
        StorageError: The folder is not empty, or the disk is too small.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _check(archive, file.infolist(), most_bytes, most_files)
            _require_room(folder, sum(member.file_size for member in members))
            with new_folder(folder) as temporary:
                with progress_bar("unpacking", len(members), "files") as advance:
                    for member in members:
                        _write(archive, file, member, temporary)
                        advance(1)
                if hasattr(os, "sync"):
                    os.sync()  # one flush for all files, before the folder gets its name
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise DownloadError(f"{archive}: not a whole .zip: {error}") from error
    return len(members)


def _check(
    archive: Path, infos: Sequence[zipfile.ZipInfo], most_bytes: int, most_files: int
) -> list[zipfile.ZipInfo]:
    """Return the files of an archive; refuse it if one is not harmless."""
    if len(infos) > most_files:
        raise DownloadError(f"{archive}: refused: {len(infos)} members, at most {most_files}")
    total = sum(info.file_size for info in infos)
    if total > most_bytes:
        raise DownloadError(f"{archive}: refused: {total} bytes, at most {most_bytes}")
    seen: set[str] = set()
    for info in infos:
        fault = _fault(info)
        key = info.filename.rstrip("/").casefold()  # disks of Windows and macOS ignore case
        if not fault and key in seen:
            fault = "occurs twice"
        if fault:
            raise DownloadError(f"{archive}: refused: the member {info.filename[:200]!a} {fault}")
        seen.add(key)
    files = [info for info in infos if not info.is_dir()]
    names = {info.filename.casefold() for info in files}
    for name in seen:
        if below := next((str(up) for up in PurePosixPath(name).parents if str(up) in names), ""):
            raise DownloadError(f"{archive}: refused: {name[:200]!a} lies below the file {below!a}")
    return files


def _fault(info: zipfile.ZipInfo) -> str:
    """Return what is wrong with a member, or nothing."""
    name = info.filename
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or "\\" in name or ":" in name or {"", ".", ".."} & set(parts):
        return "leaves the folder"
    if any(ord(letter) < 32 for letter in name) or len(name) > 1000:
        return "has an unusable name"
    if any(_WINDOWS_DEVICE.fullmatch(part) or part.endswith((".", " ")) for part in parts):
        return "has a name that Windows cannot use"
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a special file"
    return "is encrypted" if info.flag_bits & _ENCRYPTED else ""


def _write(archive: Path, file: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / info.filename
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            try:
                # `zipfile` ends a member at its stated size, and checks its CRC there
                with file.open(info) as source:
                    shutil.copyfileobj(source, out, 2**20)
            except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
                raise DownloadError(f"{archive}: {info.filename!a} is damaged: {error}") from error
        if target.stat().st_size != info.file_size:
            raise DownloadError(f"{archive}: {info.filename!a} has not the size that it states")


def _require_room(folder: Path, needed: int) -> None:
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise StorageError(f"{folder}: {needed} bytes are needed, {free} free")
