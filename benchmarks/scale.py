"""What does an image cost, and a row, and where does one table end? For planning a large run.

    make bench-scale ARGS="INSPECTOR NEU-DET.zip"

One run measures, several times in turn:

- image: CPU time of one image on a worker, from reading to row, on one thread; NEU-DET as it is,
  and blown up to 1600 × 1200;
- list: what walking a folder tree takes per file, a thousand files a folder, on this disk;
- ledger: noting that a file is listed; the space that the note takes on disk;
- row: taking a row from a worker (unpickling), counting it, and storing it in a Parquet part;
- resume: reading an old row, looking whether its file changed, noting it;
- bytes: of a row in the three formats, with paths and digests that differ as real ones do;
- ray: images per second of the Ray engine over those of the local one, on this machine.

From these it prints a plan for `--images` images. CPU time is hardly touched by what else the
machine does; `ray` is by the clock, and needs the machine alone. Files are read from the page
cache here: what a network share adds, only a run over that share can say.
"""

import json
import pickle
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from score import blow_up, describe, link, unpack

from sihwa.errors import RuntimeUnavailable
from sihwa.inspector import Inspector, load_inspector
from sihwa.scoring import (
    Entry,
    LocalEngine,
    ReadOptions,
    Row,
    ScoreOptions,
    Sources,
    open_ray_engine,
    row_schema,
    score_block,
    score_with,
)
from sihwa.scoring.block import blocks_of
from sihwa.scoring.resume import Ledger, remove_stale
from sihwa.scoring.shards import ShardFolder
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.table import TableCopy

Measured = dict[str, float]


def main(
    inspector: Annotated[Path, typer.Argument(help="Inspector folder.")],
    neu_det: Annotated[Path, typer.Argument(help="NEU-DET.zip.")],
    runtime: str = "auto",
    precision: str = "auto",
    images: Annotated[int, typer.Option(help="Images to plan for.")] = 1_000_000_000,
    files: Annotated[int, typer.Option(help="Files to list, rows to store.")] = 200_000,
    sample: Annotated[int, typer.Option(help="Images to score.")] = 512,
    rounds: int = 3,
    with_ray: Annotated[bool, typer.Option(help="Compare the engines.")] = True,
) -> None:
    """Measure, and print the tables of docs/scale.md; the last line is all of it as JSON."""
    loaded = load_inspector(inspector, runtime=runtime, precision=precision, threads=1)
    taken: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        neu = unpack(neu_det, root / "neu")
        neu = neu[:: max(1, len(neu) // sample)]
        camera = blow_up(neu[:: max(1, len(neu) // 64)], root / "camera")
        tree = grow(neu, root / "tree", files)
        for turn in range(rounds):
            found, rows = measure_images(loaded, {"NEU": neu, "camera": camera})
            found |= measure_listing(tree)
            found |= measure_rows(rows_like(rows, Sources([tree])), loaded, root / f"table {turn}")
            if with_ray:
                found |= compare_engines(loaded, inspector, link(neu, root / f"{turn}", 4 * sample))
            print(json.dumps({name: round(value, 4) for name, value in found.items()}), flush=True)
            taken.append(found)
    medians = {name: statistics.median(one[name] for one in taken) for name in taken[0]}
    print_table(taken, medians)
    print_plan(medians, images)
    print(json.dumps({"machine": describe(loaded), "rounds": taken}, ensure_ascii=False))


def grow(paths: Sequence[Path], root: Path, count: int) -> Path:
    """Make a tree of `count` copies by links, a thousand a folder."""
    for number in range(count):
        place = root / f"{number // 1000:06d}" / f"{number:09d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        given = paths[number % len(paths)]
        if number // len(paths) % 50_000 == 49_999:  # a file bears only so many links
            shutil.copy(given, place)
        else:
            place.hardlink_to(given)
    return root


def measure_images(
    inspector: Inspector, sets: dict[str, Sequence[Path]]
) -> tuple[Measured, list[Row]]:
    """Return CPU milliseconds per image, and the rows of the last set but one."""
    found: Measured = {}
    rows: list[Row] = []
    for name, paths in sets.items():
        entries = [Entry(str(path)) for path in paths]
        score_block(inspector, entries[:32], ReadOptions())  # the first inferences are slower
        made, seconds = timed(
            lambda entries=entries: score_block(inspector, entries, ReadOptions())
        )
        found[f"image, {name}: ms"] = 1e3 * seconds / len(entries)
        rows = rows or made
    return found, rows


def measure_listing(tree: Path) -> Measured:
    """Return CPU microseconds per file of listing a tree and of the ledger, and its bytes."""
    entries, walking = timed(lambda: list(Sources([tree])))
    with closing(Ledger()) as ledger:
        _, noting = timed(lambda: [ledger.list(entry.path) for entry in entries])
        # what it takes is known to SQLite alone: the file has no name
        pages, size = (
            ledger._execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
    return {
        "list: µs": 1e6 * walking / len(entries),
        "ledger: µs": 1e6 * noting / len(entries),
        "ledger: bytes": pages * size / len(entries),
    }


def rows_like(rows: Sequence[Row], sources: Sources) -> list[Row]:
    """Return a row per listed file, its facts those of the file, the rest of some real rows."""
    rng = random.Random(0)
    made = []
    for number, entry in enumerate(sources):
        facts, row = Path(entry.path).stat(), rows[number % len(rows)]
        measured = {  # no two images have the same: without it, they would pack far too well
            name: value * rng.uniform(0.9, 1)
            for name, value in row.items()
            if name == "unknown" or name.startswith("probability_")
        }
        made.append(
            row
            | measured
            | {
                "path": entry.path,
                "sha256": rng.randbytes(32).hex(),
                "size": facts.st_size,
                "modified_ns": facts.st_mtime_ns,
                "milliseconds": round(rng.uniform(5, 9), 3),
                "time": datetime.fromtimestamp(number / 100, UTC).isoformat(
                    timespec="milliseconds"
                ),
            }
        )
    return made


def measure_rows(rows: Sequence[Row], inspector: Inspector, place: Path) -> Measured:
    """Return CPU microseconds per row on its way into a table and back, and its bytes."""
    count, schema = len(rows), row_schema(inspector.card.classes)
    store(ShardFolder(place / "warm", schema), [list(rows[:64])])  # the first loads libraries
    packed = [pickle.dumps(block) for block in blocks_of(rows, 64)]
    blocks, unpacking = timed(lambda: [pickle.loads(block) for block in packed])
    summary = ScoreSummary()
    _, counting = timed(lambda: [summary.add(block) for block in blocks])
    found = {"row, from a worker: µs": 1e6 * unpacking / count}
    found["row, counted: µs"] = 1e6 * counting / count
    shards = ShardFolder(place / "shards", schema)
    _, storing = timed(lambda: store(shards, blocks))
    found["row, to Parquet: µs"] = 1e6 * storing / count
    found["row, in Parquet: bytes"] = size_of(place / "shards") / count
    for name, kind in (("rows.csv", "CSV"), ("rows.jsonl", "JSON Lines")):
        copy = TableCopy(place / name, schema)
        _, writing = timed(lambda copy=copy: copy.write(shards.tables()))
        found[f"row, to {kind}: µs"] = 1e6 * writing / count
        found[f"row, in {kind}: bytes"] = size_of(place / name) / count
    with closing(Ledger()) as ledger:
        _, resuming = timed(lambda: take_over(shards, ledger))
    found["resume: µs"] = 1e6 * resuming / count
    return found


def store(shards: ShardFolder, blocks: Sequence[list[Row]]) -> None:
    """Append all blocks, as a run does."""
    for block in blocks:
        shards.append(block)
    shards.close()


def take_over(shards: ShardFolder, ledger: Ledger) -> None:
    """Do what a resumed run does with each row."""
    remove_stale(shards, lambda: [])
    for row in shards.rows():
        ledger.add(row)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else path.rglob("*.parquet")
    return sum(file.stat().st_size for file in files)


def compare_engines(loaded: Inspector, inspector: Path, links: Path) -> Measured:
    """Return images per second of both engines on this machine; Ray's start is left out."""
    options, choice = ScoreOptions(), loaded.runtime.choice
    local = rate_of(
        lambda out: score_with(LocalEngine(loaded, options), links, out, options), links
    )
    try:
        there_options = ScoreOptions(
            engine="ray",
            address="local",
            runtime=choice.runtime,
            device="cpu",
            precision=choice.precision,
        )
        with open_ray_engine(inspector, there_options) as engine:
            score_with(engine, links, links.with_name(f"{links.name} warm"), options)
            there = rate_of(lambda out: score_with(engine, links, out, options), links)
    except RuntimeUnavailable as error:
        raise SystemExit(f"{error}; or add --no-with-ray") from None
    return {"local: images/s": local, "Ray: images/s": there, "Ray : local": there / local}


def rate_of(score: Callable[[Path], object], links: Path) -> float:
    """Return images per second, by the clock."""
    with tempfile.TemporaryDirectory(dir=links.parent) as out:
        begin = time.perf_counter()
        score(Path(out) / "scores")
        return len(list(links.iterdir())) / (time.perf_counter() - begin)


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Return what work gives, and its CPU seconds, all threads together."""
    begin = time.process_time()
    given = work()
    return given, time.process_time() - begin


def print_table(taken: Sequence[Measured], medians: Measured) -> None:
    """Print the figures as the first table of docs/scale.md."""
    print("\n| what | median | lowest | highest |\n| --- | --- | --- | --- |")
    for name, median in medians.items():
        values = [one[name] for one in taken]
        print(f"| {name} | {median:.3g} | {min(values):.3g} | {max(values):.3g} |")


def print_plan(found: Measured, images: int) -> None:
    """Print what so many images take, as the second table of docs/scale.md."""
    print(f"\n| {images:,} images take | |\n| --- | --- |")
    for what, amount in plan(found, images):
        print(f"| {what} | {amount} |")
    print()


def plan(found: Measured, images: int) -> Iterator[tuple[str, str]]:
    """Yield what a run takes of each thing."""
    writer_us = sum(
        found[name]
        for name in (
            "list: µs",
            "ledger: µs",
            "row, from a worker: µs",
            "row, counted: µs",
            "row, to Parquet: µs",
        )
    )
    for name in ("NEU", "camera"):
        cost_ms = found[f"image, {name}: ms"]
        yield f"core hours of workers, {name}", f"{images * cost_ms / 3.6e6:,.0f}"
        yield f"cores that one writer keeps busy, {name}", f"{1e3 * cost_ms / writer_us:,.0f}"
    yield "hours of one writer", f"{images * writer_us / 3.6e9:,.1f}"
    yield "hours to look through them on --resume", f"{images * found['resume: µs'] / 3.6e9:,.1f}"
    yield "table in Parquet", f"{images * found['row, in Parquet: bytes'] / 1e9:,.0f} GB"
    yield "table in CSV", f"{images * found['row, in CSV: bytes'] / 1e9:,.0f} GB"
    yield "ledger in TMPDIR", f"{images * found['ledger: bytes'] / 1e9:,.0f} GB"


if __name__ == "__main__":
    typer.run(main)
