import os
import re
from pathlib import Path

import pyarrow as pa
import pytest

from sihwa.scoring import file_of_row, row_schema
from sihwa.scoring.rows import Facts, make_row
from tests.score_helpers import stub_inspector

CONTRACT = Path(__file__).parents[3] / "docs" / "row-contract.md"


def test_row_contract_document_names_the_columns_of_the_schema() -> None:
    text = CONTRACT.read_text("utf-8").partition("## Columns")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (\w+) \| (\w+) \| ([^|]+) \|", text, flags=re.MULTILINE)[1:]
    names = {"float32": "float"}
    documented = [(name, names.get(kind, kind), null != "no") for name, kind, null in lines]
    schema = row_schema(["CLASS"])
    assert documented == [(field.name, str(field.type), field.nullable) for field in schema]


@pytest.mark.parametrize(
    "raw",
    [b"a.png", "양품 🔩.png".encode(), b"\xff.png", b"\\xff.png", b"\xff#page=2", b"new\nline"],
)
@pytest.mark.parametrize("page", [None, 2])
def test_file_of_row_gives_back_any_name(raw: bytes, page: int | None) -> None:
    inspector = stub_inspector()
    [inspection] = inspector.predict(b"no image")
    facts = Facts(os.fsdecode(raw), page=page)
    row = make_row(
        inspection, facts, inspector.card.classes, milliseconds=1, inspector="i", thresholds="t"
    )
    table = pa.Table.from_pylist([row], row_schema(inspector.card.classes))
    [back] = table.to_pylist()
    assert back == {**row, "milliseconds": 1.0}
    assert os.fsencode(file_of_row(back)) == raw
