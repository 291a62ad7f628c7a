"""Files that are written whole or not at all, locks, and SQLite."""

from sihwa.storage.database import explaining, open_database
from sihwa.storage.files import (
    hold,
    new_folder,
    replacing,
    sha256_of_bytes,
    sha256_of_file,
    usable_folder,
    write_bytes,
    write_json,
    write_text,
    writing,
)

__all__ = [
    "explaining",
    "hold",
    "new_folder",
    "open_database",
    "replacing",
    "sha256_of_bytes",
    "sha256_of_file",
    "usable_folder",
    "write_bytes",
    "write_json",
    "write_text",
    "writing",
]
