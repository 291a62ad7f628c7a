from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sihwa.errors import DatasetError
from sihwa.qualification.lots import COLUMNS
from sihwa.qualification.score_rows import read_score_rows
from tests.score_helpers import FORMATS, read, score


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.helpers import random_images, save_images

    folder = tmp_path_factory.mktemp("parts")
    save_images(folder, random_images(5, 20, 20))
    (folder / 'with "quotes", commas\nand lines.png').write_bytes(b"no image")
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_read_score_rows_every_format_gives_the_rows(
    given: Path, tmp_path: Path, name: str
) -> None:
    score(given, tmp_path / name)
    rows = list(read_score_rows(tmp_path / name, COLUMNS))
    expected = read(tmp_path / name)
    assert [row["path"] for row in rows] == expected["path"].tolist()
    assert [row["decision"] for row in rows] == expected["decision"].tolist()
    known = [row["unknown"] for row in rows if row["unknown"] is not None]
    assert known == pytest.approx(expected["unknown"].dropna().tolist(), rel=1e-6)
    assert len(known) == 5


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "neither a folder of shards"),
        ("a.csv", b"path\n1.png\n", "no column 'decision'"),
        ("a.csv", b"\xff\xfe\x00", "codec can't decode"),
        ("a.csv", b"path,decision,unknown,inspector,thresholds,time\n1,maybe,1,a,b,c\n", "maybe"),
        (
            "a.csv",
            b"path,decision,unknown,inspector,thresholds,time\n1,accept,nan,a,b,c\n",
            "unknown",
        ),
        ("a.csv", b"path,decision,unknown,inspector,thresholds,time\n1,accept\n", "no text as"),
        ("a.jsonl", b"[1]\n", "list indices"),
        ("a.jsonl", b'{"path": 1}\n', "no column 'decision'"),
        ("a.jsonl", b"[" * 100_000, "recursion|Expecting value"),
        ("a.parquet", b"PAR1 and no more", "a.parquet: expected a table"),
    ],
)
def test_read_score_rows_hostile_table_is_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        list(read_score_rows(tmp_path / name, COLUMNS))


def test_read_score_rows_missing_table_or_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"got No such file.*--out"):
        list(read_score_rows(tmp_path / "none.csv", COLUMNS))
    with pytest.raises(DatasetError, match="a folder without shards"):
        list(read_score_rows(tmp_path, COLUMNS))
    pq.write_table(pa.table({"path": ["a"], "decision": ["accept"]}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="no column 'unknown'"):
        list(read_score_rows(tmp_path / "a.parquet", COLUMNS))
