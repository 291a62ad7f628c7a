import contextlib
from pathlib import Path

import numpy as np
import pytest

from sihwa.errors import StorageError
from sihwa.training.embedding import EmbeddingCache


def opened(path: Path | None) -> contextlib.closing[EmbeddingCache]:
    return contextlib.closing(EmbeddingCache(path, 4))


def vector(value: float, width: int = 4) -> np.ndarray:
    return np.full(width, value, np.float32)


def test_cache_finds_what_was_added_before(tmp_path: Path) -> None:
    names = [f"{index:05d}" for index in range(1203)]  # more than one query takes
    with opened(tmp_path / "new" / "x.sqlite") as cache:
        cache.add({name: vector(float(name)) for name in names})
    with opened(tmp_path / "new" / "x.sqlite") as cache:
        found = cache.find([*names, "other"])
    assert set(found) == set(names)
    assert all((found[name] == vector(float(name))).all() for name in names)


def test_cache_without_a_file_keeps_nothing() -> None:
    with opened(None) as cache:
        cache.add({"a": vector(1)})
    with opened(None) as cache:
        assert cache.find(["a"]) == {}


def test_cache_vector_of_wrong_length_counts_as_unknown(tmp_path: Path) -> None:
    with opened(tmp_path / "x.sqlite") as cache:
        cache.add({"a": vector(1, width=3)})
        assert cache.find(["a"]) == {}


def test_cache_damaged_file_says_it_may_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="deleted without loss"), opened(tmp_path / "x.sqlite"):
        pass


def test_cache_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "x.sqlite"
    with pytest.raises(StorageError, match="cache_dir=PATH"), opened(path):
        pass
