import contextlib
from pathlib import Path

import numpy as np
import pytest

from sihwa.dataset import Manifest
from sihwa.errors import StorageError, UnreadableImage
from sihwa.images import read_image
from sihwa.training.embedding import EmbeddingCache
from sihwa.training.image_store import ImageStore, new_array


def test_new_array_beyond_the_budget_lies_in_a_file_without_a_name(tmp_path: Path) -> None:
    array = new_array((300, 4096), np.float32, memory_mib=1, folder=tmp_path)
    assert isinstance(array, np.memmap)
    array[7] = 5
    assert array.sum() == 5 * 4096
    assert list(tmp_path.iterdir()) == []


def test_new_array_within_the_budget_touches_no_disk(tmp_path: Path) -> None:
    array = new_array((256, 1024), np.float32, memory_mib=1, folder=tmp_path / "none")
    assert not isinstance(array, np.memmap)
    assert not (tmp_path / "none").exists()


def test_new_array_more_than_the_disk_holds_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot keep .* GiB .* cache_dir=PATH"):
        new_array((2**20, 2**22), np.uint8, memory_mib=1, folder=tmp_path)


def as_is(height: int, width: int) -> tuple[int, int]:
    return height, width


@pytest.mark.parametrize("memory_mib", [0, 1000], ids=["file", "memory"])
def test_image_store_gives_every_image_as_it_is_read(
    manifest: Manifest, tmp_path: Path, memory_mib: int
) -> None:
    rows = np.flatnonzero(manifest.split == "train").tolist()
    store = ImageStore(manifest, rows, size_of=as_is, memory_mib=memory_mib, cache_dir=tmp_path)
    path = manifest.table["path"].to_pylist()
    for row in rows:
        np.testing.assert_array_equal(store[row], read_image(path[row]))


def test_image_store_larger_sides_are_shrunk_by_area(manifest: Manifest, tmp_path: Path) -> None:
    height, width = (manifest.table[name][0].as_py() for name in ("height", "width"))
    store = ImageStore(
        manifest, [0], size_of=lambda h, w: (h, w // 4), memory_mib=9, cache_dir=tmp_path
    )
    image = manifest.read_image(0)
    means = image[:, : width // 4 * 4].reshape(height, -1, 4, 3).mean(2)
    assert store[0].shape == (height, width // 4, 3)
    assert store.largest_bytes == store[0].nbytes
    if width % 4 == 0:
        assert abs(store[0] - means).max() <= 1


def test_image_store_changed_meanwhile_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    place = manifest.table.schema.get_field_index("sha256")
    digests = ["0" * 64] * manifest.table.num_rows
    other = manifest.with_split(manifest.split.tolist())
    object.__setattr__(other, "table", other.table.set_column(place, "sha256", [digests]))
    with pytest.raises(UnreadableImage, match="changed since the run began"):
        ImageStore(other, [0, 1], size_of=as_is, memory_mib=10, cache_dir=tmp_path)


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
