"""Facts of a manifest's images, measured once and cached by content."""

import contextlib
from pathlib import Path

import msgspec

from sihwa.audit.image_facts import ImageFacts, measure_image
from sihwa.dataset import Manifest
from sihwa.errors import UnreadableImage
from sihwa.images import map_with_progress
from sihwa.storage import explaining, open_database

_NAME = Path("audit", "facts-1.sqlite")
"""The number changes with what is measured."""
_AT_ONCE = 500


def measure_manifest(manifest: Manifest, cache_dir: Path | None) -> list[ImageFacts]:
    """Return the facts of every image, in the manifest's order.

    Images whose content is in the cache are not read again.

    Args:
        manifest: The images.
        cache_dir: Folder of the cache; None caches nothing.

    Raises:
        UnreadableImage: An image vanished or changed since the manifest was made.
        StorageError: The cache is damaged or cannot be written.
    """
    content: list[str] = manifest.table["sha256"].to_pylist()
    path = dict(zip(content, manifest.table["path"].to_pylist(), strict=True))
    place = cache_dir and cache_dir.expanduser() / _NAME
    advice = "It can be deleted without loss; cache_dir=PATH sets another place"
    with explaining(f"audit cache {place}", advice):
        database = open_database(
            place,
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=NORMAL",
            "CREATE TABLE IF NOT EXISTS facts (sha256 TEXT PRIMARY KEY, value BLOB NOT NULL)",
        )
    with contextlib.closing(database):
        found: dict[str, ImageFacts] = {}
        for start in range(0, len(content), _AT_ONCE):  # SQLite bounds the number of parameters
            some = content[start : start + _AT_ONCE]
            query = f"SELECT value FROM facts WHERE sha256 IN ({','.join('?' * len(some))})"
            with explaining(f"audit cache {place}", advice):
                rows = database.execute(query, some).fetchall()
            for (value,) in rows:
                with contextlib.suppress(msgspec.MsgspecError):  # measured again
                    one = msgspec.msgpack.decode(value, type=ImageFacts)
                    found[one.sha256] = one
        missing = [sha256 for sha256 in path if sha256 not in found]
        new = (
            [
                _measured(path[sha256], sha256, one)
                for sha256, one in zip(
                    missing,
                    map_with_progress("measuring", measure_image, [path[one] for one in missing]),
                    strict=True,
                )
            ]
            if missing
            else []
        )
        with explaining(f"audit cache {place}", advice), database:
            database.execute("BEGIN")
            database.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                [(one.sha256, msgspec.msgpack.encode(one)) for one in new],
            )
    found |= {one.sha256: one for one in new}
    return [found[sha256] for sha256 in content]


def _measured(path: str, sha256: str, found: ImageFacts | UnreadableImage) -> ImageFacts:
    if isinstance(found, UnreadableImage):
        raise found
    if found.sha256 != sha256:
        raise UnreadableImage(path, "changed since it was read; begin again")
    return found
