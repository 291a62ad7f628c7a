"""A whole benchmark: what is timed, what is not, and what the results say."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from rich.console import Console

from sihwa.benchmark import (
    BenchmarkOptions,
    Results,
    Schedule,
    read_results,
    results_table,
    run_benchmark,
    write_page,
    write_results,
)
from sihwa.benchmark.ceilings import Ceilings
from sihwa.benchmark.image_files import prepared_images
from sihwa.benchmark.percentiles import PERCENTS
from sihwa.benchmark.results_text import notes, verdict_lines
from sihwa.benchmark.timing import STAGES
from sihwa.benchmark.variant import LeftOut, Variant, list_variants
from sihwa.benchmark.verdict import Verdict
from sihwa.errors import ConfigError, RuntimeUnavailable
from sihwa.inspector import REFERENCE, RuntimeChoice, read_bundle
from sihwa.inspector.verify import Verification, read_verification, verify_inspector
from tests.golden.smallest import FOLDER
from tests.helpers import random_images, save_images
from tests.unit.benchmark.stand_in import InProcess, StandInWorker

SCHEDULE = Schedule(
    rounds=4,
    samples_per_turn=5,
    warm_up=1,
    batches=(1, 2),
    batch_rounds=2,
    batch_seconds=0.0,
    starts=1,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_images(tmp_path / "사진", random_images(4, 40, 50))
    return tmp_path / "사진"


@pytest.fixture(scope="module")
def results(_tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of one small benchmark."""
    root = tmp_path_factory.mktemp("benchmark")
    save_images(root / "사진", random_images(4, 40, 50))
    inspector = shutil.copytree(_tiny_bundle, root / "inspector")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sihwa.inspector.speed.TURN_S", 0.0)
        verify_inspector(inspector, root / "사진")
    options = BenchmarkOptions(
        images=root / "사진", schedule=SCHEDULE, line_rate=1, budget_ms=900, ceilings=False
    )
    return run_benchmark(inspector, options, root / "out", InProcess)


def reasons(results: Results) -> dict[str, str]:
    return {one.name: one.reason for one in results.left_out}


def test_run_benchmark_times_what_is_proven_and_lists_the_rest(results: Results) -> None:
    timed = {one.name for one in results.variants}
    assert {"onnxruntime cpu fp32, 1 thread", "openvino cpu fp32, all cores"} <= timed
    assert "no INT8 model" in reasons(results)["openvino cpu int8"]
    assert results.overhead_us > 0


def test_read_results_percentiles_equal_numpy_on_the_samples_in_the_file(
    results: Results, tmp_path: Path
) -> None:
    write_results(tmp_path / "benchmark.json", results)
    written = read_results(tmp_path / "benchmark.json")
    assert written == results
    for one in written.variants:
        pairs = [(one.stages[stage], one.raw_ns[stage].ns) for stage in STAGES]
        pairs += [(one.model, one.raw_ns["model"].ns), (one.file_to_decision, one.whole_ns)]
        for latency, ns in pairs:
            assert ns.shape == (4, 5)
            for name, percent in PERCENTS.items():
                expected = np.percentile(ns, percent) / 1e6
                assert latency.percentiles[name].value_ms == pytest.approx(expected, rel=1e-12)
            assert (latency.samples, latency.worst_ms) == (20, ns.max() / 1e6)


def test_write_results_of_the_wrong_type_is_refused(results: Results, tmp_path: Path) -> None:
    wrong: Any = structs.replace(results, overhead_us="fast")
    with pytest.raises(ValueError, match="overhead_us"):
        write_results(tmp_path / "benchmark.json", wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{}", '{"format": "sihwa-benchmark"}'])
def test_read_results_of_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "benchmark.json").write_text(content)
    with pytest.raises(ConfigError, match=r"expected a benchmark\.json of format 2"):
        read_results(tmp_path / "benchmark.json")


def test_committed_results_are_read_and_their_samples_give_their_figures() -> None:
    files = sorted((Path(__file__).parents[3] / "docs" / "benchmarks").glob("*.json"))
    assert files
    for file in files:
        for one in read_results(file).variants:
            expected = np.percentile(one.whole_ns, 99.9) / 1e6
            assert one.file_to_decision.p99_9.value_ms == pytest.approx(expected, rel=1e-12)


def test_write_page_needs_nothing_from_elsewhere(results: Results, tmp_path: Path) -> None:
    images = structs.replace(results.images, source="<script>alert(1)</script>")
    write_page(tmp_path / "benchmark.html", structs.replace(results, images=images))
    page = (tmp_path / "benchmark.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(word in page for word in ("src=", "href=", "url(", "@import"))
    assert page.count("<polyline") == 2 * len(results.variants)
    for one in results.variants:
        assert f"{one.file_to_decision.p99_9.value_ms:.2f}" in page


def test_results_table_shows_verdict_and_reasons(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(width=200).print(results_table(results))
    shown = capsys.readouterr().out
    assert "ENOUGH for 1 parts/s within 900 ms" in shown
    assert "this PC is enough" in shown
    assert "p99.9 is hardly more than the slowest of 20 images" in shown
    assert "Not timed: openvino cpu int8" in shown


def test_run_benchmark_unproven_is_not_timed(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    options = BenchmarkOptions(images=folder, schedule=SCHEDULE, ceilings=False)
    found = run_benchmark(tiny_bundle, options, tmp_path / "out", InProcess)
    assert {one.runtime for one in found.variants} == {"onnxruntime"}
    assert "run `sihwa verify INSPECTOR` here" in reasons(found)["openvino cpu fp32"]
    assert [*verdict_lines(found)] == []


def verdict(name: str, word: Any, margin: float, decided_per_s: float = 100.0) -> Verdict:  # noqa: ANN401
    return Verdict(name, word, 12.0, 80.0, 80 * (1 - margin), 1.0, 79.0, margin, decided_per_s)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        pytest.param(
            [
                verdict("close", "too close to tell", margin=0.9),
                verdict("tight", "enough", margin=0.05),
                verdict("sure", "enough", margin=0.1),
                verdict("slow", "not enough", margin=0.95),
            ],
            "ENOUGH for 12 parts/s within 80 ms: 99.9 % of decisions take at most 72.0 ms "
            "(1.0 to 79.0) with sure, 10% of that time to spare",
            id="an enough goes before a wider margin",
        ),
        pytest.param(
            [
                verdict("one", "not enough", margin=0.99, decided_per_s=7.0),
                verdict("two", "not enough", margin=0.5, decided_per_s=11.96),
            ],
            "NOT ENOUGH for 12 parts/s within 80 ms: parts come faster than two decides them, "
            "11.9 a second",
            id="a queue without end has no margin",
        ),
        pytest.param(
            [verdict("one", "too close to tell", margin=0.5, decided_per_s=11.96)],
            "TOO CLOSE TO TELL for 12 parts/s within 80 ms: parts come about as fast as one "
            "decides them, 11.9 a second",
            id="a rate within the interval",
        ),
    ],
)
def test_verdict_lines_name_the_best_variant(
    verdicts: list[Verdict], expected: str, results: Results
) -> None:
    line = structs.replace(results.line, verdicts=verdicts)
    assert [*verdict_lines(structs.replace(results, line=line))] == [expected]


def test_notes_list_what_was_not_measured(results: Results, folder: Path, tmp_path: Path) -> None:
    odd = folder.rename(tmp_path / "\udcff\x1b")
    (odd / "\udcfe.png").write_bytes(b"no")
    with prepared_images(FOLDER, odd, 100) as (_, images):
        pass
    failed = Ceilings([], {}, [LeftOut("cuda", "no GPU")])
    lines = [*notes(structs.replace(results, ceilings=failed, images=images))]
    assert "Ceiling not measured: cuda: no GPU" in lines
    assert lines[-1].startswith("Unreadable: ")
    assert "\\xfe.png" in lines[-1]
    assert images.source == "\\xff\\x1b"


def test_run_benchmark_compares_the_cpu_with_a_gpu(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = Variant(REFERENCE, 1)
    gpu = Variant(RuntimeChoice("torch", "cuda:0", "fp32"), 0)
    monkeypatch.setattr("sihwa.benchmark.measure.list_variants", lambda *_: ([cpu, gpu], []))
    found = run_benchmark(
        FOLDER,
        BenchmarkOptions(("cpu", "cuda:0"), folder, schedule=SCHEDULE, ceilings=False),
        tmp_path / "out",
        lambda which, *_: StandInWorker(which, ns=1_000_000 if which is gpu else 4_000_000),
    )
    write_page(tmp_path / "benchmark.html", found)
    [slow, fast] = found.variants
    assert fast.device_part
    assert (slow.device_part, fast.device_part.p50.value_ms) == (None, 0.5)
    # four stages of 4 ms and of 1 ms; rates are rounded down, as a promise must hold
    assert [line.partition(" is enough")[0] for line in notes(found)][:3] == [
        "Up to 62.4 parts/s, one by one, this PC",
        "From 62.4 up to 249 parts/s, one by one, cuda:0",
        "Above 249 parts/s no variant is proven fast enough",
    ]
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


@pytest.mark.parametrize(
    ("device", "runtime", "message"),
    [
        ("tpu", "auto", "device must be cpu, cuda or cuda:N; got 'tpu'"),
        ("cpu", "onyx", "onnxruntime, openvino, torch; got 'onyx'"),
    ],
)
def test_list_variants_unknown_name_is_refused(device: str, runtime: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list_variants(read_bundle(FOLDER), Verification(), [device], [1], [runtime])


@pytest.mark.parametrize(
    ("device", "runtime", "message"),
    [
        pytest.param("cuda:9", "auto", "nothing may decide on cuda:9: onnxruntime", id="missing"),
        pytest.param("cuda", "openvino", "--runtimes openvino never runs there", id="never"),
        pytest.param("cpu", "openvino", "on cpu: openvino cpu fp32: not", id="not proven"),
    ],
)
def test_run_benchmark_without_a_variant_says_why(
    device: str, runtime: str, message: str, folder: Path, tmp_path: Path
) -> None:
    options = BenchmarkOptions((device,), folder, runtimes=(runtime,), schedule=SCHEDULE)
    with pytest.raises(RuntimeUnavailable, match=message):
        run_benchmark(FOLDER, options, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"devices": ()}, "--devices must name at least one", id="devices"),
        pytest.param({"runtimes": ()}, "--runtimes must name at least one", id="runtimes"),
        pytest.param({"line_rate": 0}, "--line-rate must be from 0.001 .*, got 0", id="rate"),
        pytest.param({"budget_ms": float("nan")}, "--budget-ms must be from", id="budget"),
        pytest.param({"threads": ()}, "--threads must be 0 to .*, got nothing", id="threads"),
        pytest.param({"threads": (0, 99_999)}, "the cores of this machine, got 99999", id="cores"),
        pytest.param({"schedule": Schedule(batches=(0,))}, "--batches must be 1 to", id="batch"),
    ],
)
def test_benchmark_options_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchmarkOptions(**changes)


def test_run_benchmark_batches_beyond_memory_are_left_out(folder: Path, tmp_path: Path) -> None:
    schedule = structs.replace(SCHEDULE, batches=(1, 99_999))
    options = BenchmarkOptions(images=folder, schedule=schedule, ceilings=False)
    found = run_benchmark(FOLDER, options, tmp_path / "out", InProcess)
    assert found.settings.batches == (1,)
    # 256 MiB over 40 x 50 x 3 bytes
    reason = "more than 44739 images of 50 × 40 take over 256 MiB"
    assert reasons(found)["batches of 99999"] == reason


def test_run_benchmark_without_any_batch_that_fits_is_refused(folder: Path, tmp_path: Path) -> None:
    schedule = structs.replace(SCHEDULE, batches=(99_999,))
    options = BenchmarkOptions(images=folder, schedule=schedule)
    with pytest.raises(ConfigError, match="--batches must be 1 to 44739 here, got 99999"):
        run_benchmark(FOLDER, options, tmp_path / "out", InProcess)
    assert not (tmp_path / "out").exists()
