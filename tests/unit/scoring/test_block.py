import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sihwa.images import Decoding, read_image
from sihwa.scoring import Entry, ReadOptions, Row, ScoreSummary, row_schema, score_block
from tests.helpers import CLASSES, random_images, save_images
from tests.score_helpers import StubRuntime, facts, stub_inspector
from tests.unit.images.forge import saved


def score(*paths: object, **options: object) -> list[Row]:
    entries = [Entry(str(path)) for path in paths]
    return score_block(stub_inspector(), entries, ReadOptions(**options))  # type: ignore[arg-type]


def save_tiff(path: Path, count: int) -> Path:
    pages = [Image.fromarray(page) for page in random_images(count, 20, 30)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_score_block_row_says_what_the_inspector_says(tmp_path: Path) -> None:
    [path] = save_images(tmp_path, random_images(1, 40, 60))
    [inspection] = stub_inspector().predict(path)
    [row] = score(path)
    content = path.read_bytes()
    assert list(row) == row_schema(CLASSES).names
    assert row["path"] == str(path)
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert (row["size"], row["modified_ns"]) == (len(content), path.stat().st_mtime_ns)
    assert (row["width"], row["height"]) == (60, 40)
    assert (row["decision"], row["reason"]) == (
        inspection.decision.outcome, inspection.decision.reason
    )  # fmt: skip
    assert [row[f"probability_{name}"] for name in CLASSES] == inspection.probability.tolist()
    assert row["top_class"] == inspection.top_class
    assert inspection.box
    assert tuple(row[f"box_{edge}"] for edge in ("x0", "y0", "x1", "y1")) == inspection.box
    assert row["error"] is None


def test_score_block_mixed_sizes_are_batched_by_size_and_rows_stay_in_order(tmp_path: Path) -> None:
    paths = [
        path
        for index, size in enumerate((20, 30, 20, 30, 20))
        for path in save_images(tmp_path / str(index), random_images(1, size, 25, seed=index))
    ]
    inspector = stub_inspector()
    rows = score_block(inspector, [Entry(str(path)) for path in paths], ReadOptions(), batch_size=2)
    assert isinstance(inspector.runtime, StubRuntime)
    shapes = [(2, 20, 25, 3), (2, 30, 25, 3), (1, 20, 25, 3)]
    assert sorted(inspector.runtime.batches) == sorted(shapes)
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert list(map(facts, rows)) == [facts(score(path)[0]) for path in paths]


def test_score_block_whatever_is_wrong_gives_one_review_row(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("no image")
    whole = saved(Image.fromarray(random_images(1, 30, 30)[0]), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.png").mkdir()
    save_images(tmp_path, random_images(1, 13, 13), prefix="13-")
    names = ("empty.jpg", "text.png", "cut.jpg", "folder.png", "gone.png", "13-000.png")
    rows = score(*(tmp_path / name for name in names))
    assert [Path(str(row["path"])).name for row in rows] == list(names)
    assert {row["decision"] for row in rows} == {"review"}
    assert {row["top_class"] for row in rows} == {None}
    assert [str(row["error"])[:22] for row in rows] == [
        "empty file",
        "not an image of a know",
        "damaged: Truncated Fil",
        "Is a directory",
        "No such file or direct",
        "the inspector failed o",
    ]
    assert rows[-1]["error"] == "the inspector failed on 13 x 13 pixels: thirteen is unlucky"


def test_score_block_image_that_the_runtime_refuses_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = save_images(tmp_path, random_images(3, 20, 20))
    dark = read_image(str(paths[1]))
    run = StubRuntime.run

    def refuse(self: StubRuntime, image: np.ndarray) -> object:
        if any((one == dark).all() for one in image):
            raise MemoryError
        return run(self, image)

    expected = list(map(facts, score(paths[0], paths[2])))
    monkeypatch.setattr(StubRuntime, "run", refuse)
    rows = list(map(facts, score(*paths)))
    assert [rows[0], rows[2]] == expected
    assert rows[1]["error"] == "the inspector failed on 20 x 20 pixels: MemoryError"


def test_score_block_no_number_becomes_null_and_review(tmp_path: Path) -> None:
    [path] = save_images(tmp_path, random_images(1, 17, 17))
    [row] = score(path)
    assert (row["decision"], row["reason"]) == ("review", "the network gave NaN or inf")
    assert (row["top_class"], row["box_x0"], row["unknown"], row["error"]) == (None,) * 4
    summary = ScoreSummary()
    summary.count(row)
    summary.count(row)
    assert (summary.images, summary.decisions, summary.classes) == (2, {"review": 2}, {})
    assert [row[f"probability_{name}"] for name in CLASSES] == [None] * 3


def test_score_block_tiff_of_several_pages_gives_a_row_for_each(tmp_path: Path) -> None:
    path = save_tiff(tmp_path / "스캔.tif", 3)
    rows = score(path)
    assert [row["path"] for row in rows] == [f"{path}#page={page}" for page in (1, 2, 3)]
    assert [(row["page"], row["pages"]) for row in rows] == [(1, 3), (2, 3), (3, 3)]
    for row, page in zip(rows, random_images(3, 20, 30), strict=True):
        np.testing.assert_array_equal(read_image(str(row["path"])), page)
        assert row["error"] is None
    assert len({row["unknown"] for row in rows}) == 3


def test_score_block_tiff_of_several_pages_is_an_error_by_option(tmp_path: Path) -> None:
    [row] = score(save_tiff(tmp_path / "scan.tif", 3), pages="error")
    assert row["error"] == "holds 3 pages; one image per file is expected"
    assert row["page"] is None


def test_score_block_damaged_page_leaves_the_others_whole(tmp_path: Path) -> None:
    path = save_tiff(tmp_path / "a.tif", 3)
    content = bytearray(path.read_bytes())
    second = random_images(3, 20, 30)[1].tobytes()
    assert second in content
    place = content.index(second)
    offset = place.to_bytes(4, "little")
    assert offset in content
    content[content.index(offset) : content.index(offset) + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    rows = score(path)
    assert [row["error"] is None for row in rows] == [True, False, True]


def test_score_block_max_pixels_refuses_and_can_be_raised(tmp_path: Path) -> None:
    [path] = save_images(tmp_path, random_images(1, 20, 30))
    [row] = score(path, max_pixels=599)
    assert row["error"] == "30 x 20 pixels are more than the 599 allowed; raise --max-pixels"
    [row] = score(path, max_pixels=600)
    assert row["error"] is None


def test_score_block_reads_values_as_the_card_says(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    values = np.linspace(0, 1023, 30 * 20).reshape(20, 30).astype(np.uint16)
    Image.fromarray(values).save(path)
    inspector = stub_inspector(white=(0.0, 1023.0))
    expected = read_image(str(path), Decoding(white=(0, 1023)))
    assert expected.max() == 255
    seen: list[np.ndarray] = []
    score_block(
        inspector,
        [Entry(str(path))],
        ReadOptions(),
        on_inspected=lambda _, pixels, __: seen.append(pixels),
    )
    np.testing.assert_array_equal(seen[0], expected)
    [inspection] = inspector.predict(path)
    [whole] = inspector.predict([expected])
    np.testing.assert_array_equal(inspection.probability, whole.probability)
