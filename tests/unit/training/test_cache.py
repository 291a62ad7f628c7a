from pathlib import Path

import numpy as np
import pytest

from sihwa.errors import StorageError
from sihwa.training.cache import EmbeddingCache


def test_cache_put_then_get_in_another_order_gives_the_same_vectors(tmp_path: Path) -> None:
    vectors = np.arange(8, dtype=np.float32).reshape(2, 4)
    with EmbeddingCache(tmp_path, "net", 4) as cache:
        cache.put(["a", "b"], vectors)
    with EmbeddingCache(tmp_path, "net", 4) as cache:
        assert cache.known(["a", "c"]) == {"a"}
        np.testing.assert_array_equal(cache.get(["b", "a", "b"]), vectors[[1, 0, 1]])


def test_cache_other_network_knows_nothing(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path, "net", 4) as cache:
        cache.put(["a"], np.zeros((1, 4), np.float32))
    with EmbeddingCache(tmp_path, "other", 4) as cache:
        assert cache.known(["a"]) == set()


def test_cache_more_contents_than_one_query_takes(tmp_path: Path) -> None:
    names = [f"{index:05d}" for index in range(1203)]
    vectors = np.random.default_rng(0).normal(size=(1203, 3)).astype(np.float32)
    with EmbeddingCache(tmp_path, "net", 3) as cache:
        cache.put(names, vectors)
        np.testing.assert_array_equal(cache.get(names), vectors)


def test_cache_vector_of_wrong_length_counts_as_unknown(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path, "net", 4) as cache:
        cache.put(["a"], np.zeros((1, 3), np.float32))
        assert cache.known(["a"]) == set()


def test_cache_damaged_file_says_it_may_be_deleted(tmp_path: Path) -> None:
    with EmbeddingCache(tmp_path, "net", 4) as cache:
        path = cache.path
    path.write_bytes(b"no database" * 1000)
    with (
        pytest.raises(StorageError, match="deleted without loss"),
        EmbeddingCache(tmp_path, "net", 4) as cache,
    ):
        cache.known(["a"])


def test_cache_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cache_dir=PATH"),
        EmbeddingCache(tmp_path / "file", "net", 4),
    ):
        pass
