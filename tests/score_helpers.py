"""An inspector that needs no network, `sihwa score` as a process, and tables as users read them."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sihwa.inspector import Inspector, NetworkFacts, Outputs, RuntimeChoice, TopClassFacts
from sihwa.scoring import ScoreOptions, ScoreSummary, file_of_row, row_schema, score_sources
from tests.helpers import CLASSES, made_card, random_images, save_images

FORMATS = ["scores.csv", "scores.jsonl", "scores.parquet", "scores"]
RESUME = ScoreOptions(resume=True, batch_size=2, workers=2)
MEASURED = ["milliseconds", "time"]


class StubRuntime:
    """Probabilities from the mean of each channel; evidence in the brightest quarter."""

    choice = RuntimeChoice("stub", "cpu", "fp32")
    version = "0"

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        self.batches.append(image.shape)
        if image.shape[1:3] == (13, 13):
            raise RuntimeError("thirteen\nis unlucky")
        mean = image.mean((1, 2), dtype=np.float64) + 1
        probability = (mean / mean.sum(1, keepdims=True)).astype(np.float32)
        evidence = np.repeat(probability[:, :, None, None], 2, 2).repeat(2, 3)
        evidence[:, :, 0, :] = 0
        unknown = mean.mean(1).astype(np.float32) / 100
        if image.shape[1:3] == (17, 17):
            probability[:], unknown[:] = np.nan, np.nan
        return Outputs(probability, evidence, np.zeros((len(image), 4), np.float32), unknown)


def stub_inspector(**changes: object) -> Inspector:
    network = NetworkFacts(
        name="stub", architecture="stub", input_size=64, stages=0, embedding_width=4
    )
    given = {"policy": TopClassFacts(unknown_threshold=2.0), "network": network, **changes}
    card = made_card(**given)
    return Inspector(card, StubRuntime(), "a stub")


def score(parts: object, out: Path, options: ScoreOptions = RESUME) -> ScoreSummary:
    return score_sources(stub_inspector(), str(parts), out, options)


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without what was measured."""
    return {name: value for name, value in row.items() if name not in MEASURED}


def read(out: Path) -> pd.DataFrame:
    """Read a table with the types of its schema, without what was measured."""
    schema = row_schema(CLASSES)
    if out.suffix == ".csv":
        table = pyarrow.csv.read_csv(
            out,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True
            ),
        )
    elif out.suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
        table = pa.Table.from_pylist(rows, schema)
    else:
        table = pq.read_table(out if out.suffix else out / "rows")
    return pd.DataFrame(table.drop_columns(MEASURED).to_pylist(), dtype=object)


def assert_same(table: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table, other, check_exact=False, rtol=1e-6)


def files_of(table: pd.DataFrame) -> list[str]:
    return [file_of_row(row) for row in table.to_dict("records")]


PROGRAM = """
import sys
import sihwa.scoring.shards as shards
shards._ROWS, shards._SECONDS = 16, 0.5  # many shards, so that a kill meets them
from sihwa.__main__ import main
main()
"""


_started: list[subprocess.Popen[str]] = []


def start(
    *words: object,
    before: Callable[[], None] | None = None,
    workers: int = 2,
    program: str = PROGRAM,
) -> subprocess.Popen[str]:
    """Start `sihwa score`, with small blocks and shards."""
    small_blocks = ("--batch-size", "4", "--workers", str(workers))
    process = subprocess.Popen(
        [sys.executable, "-c", program, "score", *map(str, words), *small_blocks],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=before,
    )
    _started.append(process)
    return process


def finish(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """Wait for a process; return exit code, output and errors."""
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def end_started() -> None:
    """Kill what a test has left running."""
    while _started:
        with _started.pop() as process:
            process.kill()


def many_links(folder: Path, count: int, height: int = 50) -> Path:
    """Fill a folder with links to twelve images and a damaged one."""
    given = save_images(folder.parent / "given", random_images(12, height, 60))
    (folder.parent / "given" / "cut.png").write_bytes(given[0].read_bytes()[:100])
    given.append(folder.parent / "given" / "cut.png")
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05d}.png").hardlink_to(given[number % len(given)])
    return folder
