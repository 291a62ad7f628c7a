"""A whole benchmark: what is timed, what is not, and what the results say."""

import copy
import csv
import json
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from msgspec import structs

from sihwa.benchmark import (
    BenchmarkOptions,
    Schedule,
    results_table,
    run_benchmark,
    write_csv,
    write_page,
    write_results,
)
from sihwa.benchmark.contestant import ProcessContestant
from sihwa.benchmark.image_files import prepared_images
from sihwa.benchmark.results import benchmark_schema
from sihwa.benchmark.sentences import notes, verdict_line
from sihwa.benchmark.timing import STAGES, Timer
from sihwa.benchmark.variant import Variant, list_variants
from sihwa.benchmark.verdict import Verdict
from sihwa.errors import ConfigError, DatasetError, RuntimeUnavailable, StorageError
from sihwa.inspector import (
    IMAGES_NAME,
    REFERENCE,
    Inspector,
    RuntimeChoice,
    create_runtime,
    read_bundle,
)
from sihwa.inspector.verification import Verification, read_verification
from sihwa.inspector.verify import verify_inspector
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images
from tests.unit.benchmark.stand_in import InProcess, StandInContestant, flat

COURSE = Schedule(
    rounds=4, samples=18, warm_up=1, batches=(1, 2), batch_rounds=2, batch_seconds=0.0, starts=1
)
Document = dict[str, Any]


def in_process(which: Variant, inspector: Path, paths: Sequence[str]) -> InProcess:
    bundle = read_bundle(inspector)
    runtime = create_runtime(bundle, which.choice, which.threads)
    return InProcess(which, Timer(Inspector(bundle.card, runtime, ""), paths))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_images(tmp_path / "사진", random_images(4, 40, 50))
    return tmp_path / "사진"


@pytest.fixture(scope="module")
def _document(_tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Document:
    root = tmp_path_factory.mktemp("benchmark")
    save_images(root / "사진", random_images(4, 40, 50))
    inspector = shutil.copytree(_tiny_bundle, root / "inspector")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sihwa.inspector.speed.TURN_S", 0.0)
        verify_inspector(inspector, root / "사진")
    options = BenchmarkOptions(
        images=root / "사진", course=COURSE, line_rate=1, budget_ms=900, ceilings=False
    )
    return run_benchmark(inspector, options, root / "out", in_process)


@pytest.fixture
def document(_document: Document) -> Document:
    """The results of one small benchmark; a test may change its own."""
    return copy.deepcopy(_document)


def test_run_benchmark_times_what_is_proven_and_lists_the_rest(document: Document) -> None:
    timed = {one["name"] for one in document["variants"]}
    assert {"onnxruntime cpu fp32, 1 thread", "openvino cpu fp32, all cores"} <= timed
    reasons = {one["name"]: one["reason"] for one in document["left_out"]}
    assert "no INT8 model" in reasons["openvino cpu int8"]


def test_run_benchmark_percentiles_agree_with_numpy_on_the_samples_in_the_file(
    document: Document, tmp_path: Path
) -> None:
    write_results(tmp_path / "benchmark.json", document)
    written = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert written["variants"]
    for one in written["variants"]:
        raw = one["raw_ns"]
        stages = {s: np.array(flat(raw["file_to_decision"][s])) for s in STAGES}
        samples = {
            "model": np.array(flat(raw["model"])),
            "file_to_decision": sum(stages.values(), np.zeros(20, np.int64)),
        }
        figures = {"model": one["model"], "file_to_decision": one["file_to_decision"]}
        for name in figures.keys() | {*STAGES}:
            figure = figures.get(name) or one["stages"][name]
            values = {**stages, **samples}[name]
            assert figure["samples"] == len(values) == 20
            for quantile, percent in {"p50": 50, "p95": 95, "p99": 99, "p99_9": 99.9}.items():
                expected = np.percentile(values, percent) / 1e6
                assert figure[quantile]["value_ms"] == pytest.approx(expected, rel=1e-12)
            assert figure["worst_ms"] == values.max() / 1e6


def test_write_results_leaves_names_alone_and_takes_any(
    document: Document, folder: Path, tmp_path: Path
) -> None:
    odd = folder.rename(os.fsdecode(os.fsencode(tmp_path) + b"/[1, 2 3] \xff\x1b"))
    (odd / "\udcfe.png").write_bytes(b"no")
    with prepared_images(FOLDER, odd, 100) as found:
        document["images"] = found.as_dict()
    write_results(tmp_path / "benchmark.json", document)
    written = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert written["images"]["source"] == "[1, 2 3] \\xff\\x1b"
    assert "\\xfe.png" in written["images"]["unreadable"][0]


def test_write_results_keeps_lists_of_numbers_on_one_line(
    document: Document, tmp_path: Path
) -> None:
    write_results(tmp_path / "benchmark.json", document)
    text = (tmp_path / "benchmark.json").read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps(document))
    assert len(text.splitlines()) < 350 * len(document["variants"])
    assert re.search(r"\[\d+,\d+,\d+,\d+,\d+\]", text)


def test_write_results_refuses_what_breaks_the_schema(document: Document, tmp_path: Path) -> None:
    document["variants"][0]["model"]["p50"]["value_ms"] = "fast"
    with pytest.raises(jsonschema.ValidationError, match="fast"):
        write_results(tmp_path / "benchmark.json", document)
    assert list(tmp_path.glob("*benchmark.json*")) == []


def test_benchmark_schema_is_a_schema_and_leaves_nothing_open() -> None:
    jsonschema.Draft202012Validator.check_schema(benchmark_schema())
    assert benchmark_schema()["additionalProperties"] is False


def test_write_csv_has_a_row_for_each_variant(document: Document, tmp_path: Path) -> None:
    write_csv(tmp_path / "benchmark.csv", document["variants"])
    rows = list(csv.DictReader((tmp_path / "benchmark.csv").read_text("utf-8").splitlines()))
    for row, one in zip(rows, document["variants"], strict=True):
        assert row["runtime"] == one["runtime"]
        assert float(row["file_p99_9_value_ms"]) == one["file_to_decision"]["p99_9"]["value_ms"]
        assert float(row["images_per_s_2"]) == one["throughput"][1]["images_per_s"]


def test_write_page_needs_nothing_from_elsewhere(document: Document, tmp_path: Path) -> None:
    document["images"]["source"] = "<script>alert(1)</script>"
    write_page(tmp_path / "benchmark.html", document)
    page = (tmp_path / "benchmark.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert page.count("<polyline") == 2 * len(document["variants"])
    for one in document["variants"]:
        assert f"{one['file_to_decision']['p99_9']['value_ms']:.2f}" in page


def test_results_table_shows_verdict_and_reasons(
    document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    Console(width=200).print(results_table(document))
    shown = capsys.readouterr().out
    assert "ENOUGH for 1 parts/s within 900 ms" in shown
    assert "this PC is enough" in shown
    assert "Not timed: openvino cpu int8" in shown


def test_run_benchmark_overhead_is_told_as_a_share_of_the_fastest(document: Document) -> None:
    overhead = document["overhead"]
    fastest = min(one["model"]["p50"]["value_ms"] for one in document["variants"])
    assert overhead["fastest_p50_ms"] == pytest.approx(fastest)
    assert overhead["share"] == pytest.approx(overhead["median_us"] / 1000 / fastest)
    assert overhead["median_us"] > 0


def test_run_benchmark_unproven_is_not_timed(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    options = BenchmarkOptions(images=folder, course=COURSE, ceilings=False)
    document = run_benchmark(tiny_bundle, options, tmp_path / "out", in_process)
    assert {one["runtime"] for one in document["variants"]} == {"onnxruntime"}
    reasons = {one["name"]: one["reason"] for one in document["left_out"]}
    assert "run `sihwa verify INSPECTOR` here" in reasons["openvino cpu fp32"]
    assert verdict_line(document) is None


def test_verdict_line_an_enough_is_not_hidden_by_a_wider_margin(document: Document) -> None:
    document["line"]["verdicts"] = [
        verdict("close", "too close to tell", margin=0.9),
        verdict("sure", "enough", margin=0.1),
        verdict("slow", "not enough", margin=0.95),
    ]
    line = verdict_line(document)
    assert line is not None
    assert line.startswith("ENOUGH for 12 parts/s within 80 ms")
    assert "with sure, 10% of that time to spare" in line


def test_verdict_line_of_a_queue_without_end_tells_no_margin(document: Document) -> None:
    document["line"]["verdicts"] = [
        verdict("one", "not enough", margin=0.99, decided_per_s=7.0),
        verdict("two", "not enough", margin=0.5, decided_per_s=11.96),
    ]
    assert verdict_line(document) == (
        "NOT ENOUGH for 12 parts/s within 80 ms: parts come faster than two decides them, "
        "11.9 a second"
    )


def test_verdict_line_of_a_rate_within_the_interval_is_not_said_to_be_too_fast(
    document: Document,
) -> None:
    document["line"]["verdicts"] = [
        verdict("one", "too close to tell", margin=0.5, decided_per_s=11.96),
    ]
    line = verdict_line(document)
    assert line is not None
    assert line.endswith("parts come about as fast as one decides them, 11.9 a second")


def verdict(name: str, word: str, margin: float, decided_per_s: float = 100.0) -> Document:
    one = Verdict(name, word, 12.0, 80.0, 80 * (1 - margin), 1.0, 79.0, margin, decided_per_s)
    return one.as_dict()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (6, "p99.9 is hardly more than the slowest of 6 images"),
        (2000, "p99.9 stands on 2 of 2,000"),
    ],
)
def test_notes_say_what_the_tail_stands_on(samples: int, expected: str, document: Document) -> None:
    document["variants"][0]["file_to_decision"]["samples"] = samples
    assert any(line.startswith(expected) for line in notes(document))


def test_run_benchmark_on_a_stand_in_for_a_graphics_card(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = Variant(REFERENCE, 1)
    gpu = Variant(RuntimeChoice("torch", "cuda:0", "fp32"), 0)
    monkeypatch.setattr("sihwa.benchmark.measure.list_variants", lambda *_: ([cpu, gpu], []))
    options = BenchmarkOptions(
        devices=("cpu", "cuda:0"), images=folder, course=COURSE, ceilings=False
    )
    document = run_benchmark(
        FOLDER,
        options,
        tmp_path / "out",
        lambda which, _path, _images: StandInContestant(
            which, ns=1_000_000 if which is gpu else 4_000_000
        ),
    )
    write_results(tmp_path / "benchmark.json", document)
    write_page(tmp_path / "benchmark.html", document)
    [slow, fast] = document["variants"]
    assert (slow["device_part"], fast["device_part"]["p50"]["value_ms"]) == (None, 0.5)
    best = document["line"]["best_by_device"]
    # four stages of 4 ms and of 1 ms; devices are never mixed
    assert best["cpu"]["parts_per_s"] == pytest.approx(62.5, rel=1e-4)
    assert best["cuda:0"]["parts_per_s"] == pytest.approx(250, rel=1e-4)
    sentences = list(notes(document))
    # rounded down: what is said must hold
    assert sentences[0].startswith("Up to 62.4 parts/s, one by one, this PC is enough")
    assert sentences[1].startswith("From 62.4 up to 249 parts/s, one by one, cuda:0 is enough")
    assert sentences[2] == "Above 249 parts/s no variant is sure to be enough"
    assert "Device against device" in (tmp_path / "benchmark.html").read_text("utf-8")


def test_list_variants_refused_by_its_proof_says_why(tiny_bundle: Path, folder: Path) -> None:
    verify_inspector(tiny_bundle, folder)
    bundle = read_bundle(tiny_bundle)
    found = read_verification(tiny_bundle, bundle)
    proof = tuple(
        structs.replace(one, flips=3) if one.runtime == "openvino" else one for one in found.proof
    )
    variants, left_out = list_variants(bundle, Verification(proof), ["cpu"], [1, 0])
    assert "openvino" not in {one.choice.runtime for one in variants}
    [reason] = [one.reason for one in left_out if one.name == "openvino cpu fp32"]
    assert reason.startswith("refused, 3 of")


def test_list_variants_times_only_the_runtimes_named(tiny_bundle: Path, folder: Path) -> None:
    verify_inspector(tiny_bundle, folder)
    bundle = read_bundle(tiny_bundle)
    found = read_verification(tiny_bundle, bundle)
    every, _ = list_variants(bundle, found, ["cpu"], [1, 0])
    assert {one.choice.runtime for one in every} > {"onnxruntime"}
    some, left_out = list_variants(bundle, found, ["cpu"], [1, 0], ["onnxruntime"])
    assert some == [one for one in every if one.choice.runtime == "onnxruntime"]
    assert {one.name.split()[0] for one in left_out} <= {"onnxruntime"}


def test_run_benchmark_runtime_that_is_not_proven_names_it(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    options = BenchmarkOptions(runtimes=("openvino",), images=folder, course=COURSE)
    with pytest.raises(
        RuntimeUnavailable, match="nothing may decide on cpu: openvino cpu fp32: not"
    ):
        run_benchmark(tiny_bundle, options, tmp_path)


def test_run_benchmark_runtime_that_never_runs_on_a_device_says_so(
    folder: Path, tmp_path: Path
) -> None:
    options = BenchmarkOptions(("cuda",), folder, runtimes=("openvino",), course=COURSE)
    with pytest.raises(RuntimeUnavailable, match="on cuda: --runtimes openvino never runs there"):
        run_benchmark(FOLDER, options, tmp_path)


def test_list_variants_unknown_runtime_is_refused() -> None:
    with pytest.raises(ConfigError, match="onnxruntime, openvino, torch; got 'onyx'"):
        list_variants(read_bundle(FOLDER), Verification(), ["cpu"], [1], ["onyx"])


@pytest.mark.parametrize("name", ["devices", "runtimes"])
def test_benchmark_options_of_nothing_are_refused(name: str) -> None:
    given: dict[str, Any] = {name: ()}
    with pytest.raises(ConfigError, match=f"--{name} must name at least one"):
        BenchmarkOptions(**given)


def test_list_variants_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device must be cpu, cuda or cuda:N; got 'tpu'"):
        list_variants(read_bundle(FOLDER), Verification(), ["tpu"], [1])


def test_run_benchmark_device_that_is_not_there_says_why(folder: Path, tmp_path: Path) -> None:
    options = BenchmarkOptions(devices=("cuda:9",), images=folder, course=COURSE)
    with pytest.raises(RuntimeUnavailable, match="nothing may decide on cuda:9: onnxruntime"):
        run_benchmark(FOLDER, options, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"line_rate": 0}, "--line-rate must be from 0.001 .*, got 0", id="rate"),
        pytest.param({"budget_ms": float("nan")}, "--budget-ms must be from", id="budget"),
        pytest.param({"threads": ()}, "--threads must be 0 to .*, got nothing", id="threads"),
        pytest.param({"threads": (0, 99_999)}, "the cores of this machine, got 99999", id="cores"),
        pytest.param({"course": Schedule(batches=(0,))}, "--batches must be 1 to", id="batch"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchmarkOptions(**changes)


def test_run_benchmark_batches_beyond_memory_are_listed_as_left_out(
    folder: Path, tmp_path: Path
) -> None:
    course = replace(COURSE, batches=(1, 99_999))
    options = BenchmarkOptions(images=folder, course=course, ceilings=False)
    document = run_benchmark(FOLDER, options, tmp_path / "out", in_process)
    assert document["settings"]["batches"] == [1]
    reasons = {one["name"]: one["reason"] for one in document["left_out"]}
    # 256 MiB over 40 x 50 x 3 bytes
    assert reasons["batches of 99999"] == "more than 44739 images of 50 × 40 take over 256 MiB"


def test_run_benchmark_without_any_batch_that_fits_is_refused(folder: Path, tmp_path: Path) -> None:
    options = BenchmarkOptions(images=folder, course=replace(COURSE, batches=(99_999,)))
    with pytest.raises(ConfigError, match="--batches must be 1 to 44739 here, got 99999"):
        run_benchmark(FOLDER, options, tmp_path / "out", in_process)
    assert not (tmp_path / "out").exists()


def test_prepared_images_of_an_archive_are_files_for_a_while(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "parts.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.name)
    with prepared_images(FOLDER, archive, 3) as found:
        assert [Path(path).is_file() for path in found.paths] == [True] * 3
        assert found.shapes == {(40, 50): 3}
    assert not any(Path(path).exists() for path in found.paths)


def test_prepared_images_of_the_inspector_are_those_that_no_border_chose(
    tmp_path: Path, folder: Path
) -> None:
    inspector = tmp_path / "inspector"
    inspector.mkdir()
    names = sorted(folder.iterdir())[:5]
    with zipfile.ZipFile(inspector / IMAGES_NAME, "w") as archive:
        for place, path in enumerate(names):
            archive.write(path, f"{place:03d}{path.suffix}")
    with prepared_images(inspector, None, 100) as found:
        read = [Path(path).read_bytes() for path in found.paths]
    assert sorted(read) == sorted(path.read_bytes() for path in names[2:])


def test_prepared_images_are_not_in_the_order_of_their_classes(tmp_path: Path) -> None:
    save_images(tmp_path, random_images(20, 9, 8), prefix="crazing ")
    save_images(tmp_path, random_images(20, 9, 8, seed=1), prefix="scratches ")
    with prepared_images(FOLDER, tmp_path, 100) as found:
        first = [Path(path).name.split()[0] for path in found.paths[:20]]
    assert 5 < first.count("scratches") < 15


def test_prepared_images_of_the_usual_size_come_first(tmp_path: Path) -> None:
    save_images(tmp_path / "b", random_images(3, 40, 50))
    save_images(tmp_path / "a", random_images(1, 400, 500))
    with prepared_images(FOLDER, tmp_path, 100) as found:
        assert [Path(path).parent.name for path in found.paths] == ["b", "b", "b", "a"]
        assert found.usual_shape == (40, 50)


def test_prepared_images_without_room_to_unpack_say_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as file:
        file.write(next(folder.iterdir()), "a.png")

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with (
        pytest.raises(StorageError, match=r"cannot write .*000000\.png: No space left"),
        prepared_images(FOLDER, tmp_path / "parts.zip", 3),
    ):
        pass


def test_notes_name_ceilings_that_were_not_measured(document: Document) -> None:
    document["ceilings"] = {
        "cpu": [{"threads": 0, "error": "it said nothing (killed by SIGKILL)"}],
        "preprocessing": [None],
        "gpus": {"cuda": {"error": "no card"}},
        "disk": {"error": "no room"},
    }
    found = [line for line in notes(document) if line.startswith("Ceiling not measured: ")]
    assert [line.split(": ", 1)[1] for line in found] == [
        "processor: it said nothing (killed by SIGKILL)", "cuda: no card", "disk: no room",
    ]  # fmt: skip


def test_prepared_images_unreadable_ones_are_named(folder: Path) -> None:
    (folder / "cut.jpg").write_bytes(b"\xff\xd8")
    with prepared_images(FOLDER, folder, 100) as found:
        assert len(found.paths) == 4
        assert [Path(error.path).name for error in found.unreadable] == ["cut.jpg"]


def test_prepared_images_without_any_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(DatasetError, match="--images FOLDER"),
        prepared_images(FOLDER, None, 9),
    ):
        pass
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(DatasetError, match="the only image"), prepared_images(FOLDER, tmp_path, 9):
        pass
    (tmp_path / "worse.png").write_bytes(b"no")
    with pytest.raises(DatasetError, match="none of 2"), prepared_images(FOLDER, tmp_path, 9):
        pass


def test_process_contestant_answers_until_it_is_closed(folder: Path) -> None:
    paths = [str(path) for path in sorted(folder.iterdir())]
    contestant = ProcessContestant(Variant(REFERENCE, 1), FOLDER, paths)
    try:
        assert contestant.start() > 0
        stages = contestant.ask("files", count=3)
        assert [len(stages[stage]) for stage in STAGES] == [3] * 4
        assert len(contestant.ask("model", count=2)) == 2
        assert contestant.ask("batches", size=2, seconds=0.0)["images"] == 2
        memory = contestant.ask("memory")
        assert memory["first_mib"] is None or memory["first_mib"] > 10
    finally:
        contestant.close()


def test_process_contestant_that_dies_says_its_last_words(folder: Path, tmp_path: Path) -> None:
    contestant = ProcessContestant(Variant(REFERENCE, 1), tmp_path / "none", ["a.png"])
    with pytest.raises(RuntimeUnavailable, match=r"its process ended: .*none.* \(exit code 1\)"):
        contestant.start()
    contestant.close()


def test_process_contestant_that_does_not_answer_is_given_up(folder: Path) -> None:
    paths = [str(path) for path in folder.iterdir()]
    contestant = ProcessContestant(Variant(REFERENCE, 1), FOLDER, paths, patience_s=0.001)
    with pytest.raises(RuntimeUnavailable, match="its process did not answer for 0 s"):
        contestant.start()
    contestant.close()
