"""A whole benchmark of an inspector on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import sihwa
from sihwa.benchmark.ceilings import measure_ceilings
from sihwa.benchmark.contestant import Contestant, ProcessContestant
from sihwa.benchmark.environment import describe_conditions, describe_environment
from sihwa.benchmark.gpu import open_gpu
from sihwa.benchmark.image_files import Images, prepared_images
from sihwa.benchmark.power import energy_meter
from sihwa.benchmark.race import Measured, Schedule, run_race
from sihwa.benchmark.results import FORMAT, FORMAT_VERSION, overhead_of, variant_results
from sihwa.benchmark.roofline import roofline_share
from sihwa.benchmark.variant import LeftOut, Variant, list_variants
from sihwa.benchmark.verdict import give_verdict, highest_rate
from sihwa.benchmark.work import count_work
from sihwa.errors import ConfigError, RuntimeUnavailable
from sihwa.images import available_cores
from sihwa.inspector import Bundle, read_bundle
from sihwa.inspector.verification import read_verification
from sihwa.storage import usable_folder
from sihwa.terminal.progress import progress_bar

_MOST_BATCH_BYTES = 256 * 2**20
Document = dict[str, Any]
MakeContestant = Callable[[Variant, Path, Sequence[str]], Contestant]


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured; see `sihwa benchmark --help`.

    Attributes:
        devices: `cpu`, `cuda`, `cuda:1`.
        images: A folder of images or an archive; None for those kept in the inspector.
        limit: At most so many images.
        threads: Of one inference on the CPU; 0 is all cores.
        runtimes: `openvino`, `onnxruntime`, `torch`; with `auto` among them, all there are.
        course: How often everything is timed.
        line_rate: Parts per second, if a verdict is wanted.
        budget_ms: From file to decision, if a verdict is wanted.
        ceilings: Whether to measure what the machine could do at best.
    """

    devices: Sequence[str] = ("cpu",)
    images: Path | None = None
    limit: int = 200
    threads: Sequence[int] = (1, 0)
    runtimes: Sequence[str] = ("auto",)
    course: Schedule = field(default_factory=Schedule)
    line_rate: float | None = None
    budget_ms: float | None = None
    ceilings: bool = True

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        if not self.devices or not self.runtimes:
            name = "--runtimes" if self.devices else "--devices"
            raise ConfigError(f"{name} must name at least one, got none")
        for name, value in (("--line-rate", self.line_rate), ("--budget-ms", self.budget_ms)):
            if value is not None and not 0.001 <= value <= 1_000_000:
                raise ConfigError(f"{name} must be from 0.001 to 1,000,000, got {value}")
        cores = available_cores()
        for name, values, least, most, what in (
            ("--limit", (self.limit,), 1, 100_000, ""),
            ("--threads", self.threads, 0, cores, ", the cores of this machine"),
            ("--batches", self.course.batches, 1, 1_000_000, ""),
            ("--samples", (self.course.samples,), 1, 1_000_000, ""),
            ("--seed", (self.course.seed,), 0, 2**32 - 1, ""),
        ):
            wrong = [value for value in values if not least <= value <= most]
            if wrong or not values:
                got = wrong[0] if wrong else "nothing"
                raise ConfigError(f"{name} must be {least} to {most:,}{what}, got {got}")


def run_benchmark(
    path: Path,
    options: BenchmarkOptions,
    folder: Path,
    make_contestant: MakeContestant = ProcessContestant,
) -> Document:
    """Time everything that may decide here; return the results as `benchmark.json` has them.

    Args:
        path: The inspector folder, or its .onnx file.
        options: What.
        folder: On the disk whose speed is measured; gets a file for a moment.
        make_contestant: Starts a variant; another one only in tests.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or too new.
        RuntimeUnavailable: There is no such device, or nothing may decide on it.
        DatasetNotFound: There are no images.
        EmptyDataset: None of them can be read.
        ConfigError: Every batch size takes too much memory.
        StorageError: The folder cannot be written to, or holds results already.
    """
    bundle = read_bundle(path)
    variants, left_out = _variants(path, bundle, options)
    with (
        prepared_images(path, options.images, options.limit) as images,
        usable_folder(folder),
    ):
        course, too_large = _fitting(options.course, images)
        left_out += too_large
        ceilings = None
        if options.ceilings:
            given = options.devices, options.threads, folder
            ceilings = measure_ceilings(path, images, *given)
        contestants = [make_contestant(variant, path, images.paths) for variant in variants]
        conditions: list[Document] = []
        with progress_bar("timing", course.steps * len(variants), "turns") as advance:
            measured, failed = run_race(
                contestants,
                course,
                {device: energy_meter(device) for device in options.devices},
                _device_memory_mib,
                lambda number: conditions.append(
                    {"round": number, **describe_conditions(options.devices)}
                ),
                advance,
            )
        if not measured:
            raise RuntimeUnavailable(
                f"nothing could be timed; {failed[0].name}: {failed[0].reason}"
            )
        results = [variant_results(one, course.seed) for one in measured]
        _add_rooflines(results, bundle, images, ceilings)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "code_version": sihwa.__version__,
            "inspector": _describe_inspector(bundle, images),
            "images": images.as_dict(),
            "settings": _describe_settings(course),
            "environment": describe_environment(options.devices),
            "conditions": conditions,
            "overhead": overhead_of(measured),
            "variants": results,
            "left_out": [{"name": one.name, "reason": one.reason} for one in (*left_out, *failed)],
            "ceilings": ceilings,
            "line": _line(measured, options, course.seed),
        }


def _variants(
    path: Path, bundle: Bundle, options: BenchmarkOptions
) -> tuple[list[Variant], list[LeftOut]]:
    """Return what may decide here, at least one, and what is left out and why."""
    verification = read_verification(path, bundle)
    variants, left_out = list_variants(
        bundle, verification, options.devices, options.threads, options.runtimes
    )
    if not variants:
        reasons = dict.fromkeys(f"{one.name}: {one.reason}" for one in left_out)
        never = f"--runtimes {','.join(options.runtimes)} never runs there"
        raise RuntimeUnavailable(
            f"nothing may decide on {', '.join(options.devices)}: {'; '.join(reasons) or never}"
        )
    return variants, left_out


def _fitting(course: Schedule, images: Images) -> tuple[Schedule, list[LeftOut]]:
    """Leave out batches that would take too much memory; a large image fills cores alone."""
    height, width = images.usual_shape
    most = max(1, _MOST_BATCH_BYTES // (height * width * 3))
    batches = [size for size in course.batches if size <= most]
    reason = f"more than {most} images of {width} × {height} take over 256 MiB"
    if not batches:
        raise ConfigError(f"--batches must be 1 to {most} here, got {course.batches[0]}: {reason}")
    left_out = [LeftOut(f"batches of {n}", reason) for n in course.batches if n > most]
    return replace(course, batches=batches), left_out


def _device_memory_mib(device: str) -> float | None:
    gpu = open_gpu(device)
    return gpu.used_mib() if gpu else None


def _describe_inspector(bundle: Bundle, images: Images) -> Document:
    work = count_work(bundle, *images.usual_shape)
    return {
        "id": bundle.card.id,
        "network": bundle.card.network.name,
        "input_size": bundle.card.network.input_size,
        "dataset": bundle.card.dataset.name,
        "gflop_per_image": work.flop / 1e9,
        "preprocessing_gflop": work.preprocess_flop / 1e9,
        "numbers_in_weights": work.weights,
    }


def _describe_settings(course: Schedule) -> Document:
    in_turn = course.samples_in_turn  # as the format has it
    return {**vars(course), "samples": in_turn, "batches": list(course.batches)}


def _add_rooflines(
    results: list[Document], bundle: Bundle, images: Images, ceilings: Document | None
) -> None:
    work = count_work(bundle, *images.usual_shape)
    for one in results:
        one["roofline"] = roofline_share(one, work, ceilings) if ceilings else None


def _line(measured: Sequence[Measured], options: BenchmarkOptions, seed: int) -> Document:
    """Return the most parts per second of each variant, and verdicts where they were asked for."""
    whole = {str(one.variant): np.array(one.whole) / 1e6 for one in measured}
    wanted = options.line_rate is not None or options.budget_ms is not None
    verdict = partial(give_verdict, rate=options.line_rate, budget_ms=options.budget_ms, seed=seed)
    devices = {str(one.variant): one.variant.choice.device for one in measured}
    highest: dict[str, float] = {}
    with progress_bar("working out rates", len(whole), "variants") as advance:
        for name, turns in whole.items():
            highest[name] = highest_rate(turns, options.budget_ms, seed)
            advance(1)
    best: dict[str, str] = {}
    for name, rate in sorted(highest.items(), key=lambda pair: pair[1]):
        best[devices[name]] = name if rate else ""
    return {
        "line_rate": options.line_rate,
        "budget_ms": options.budget_ms,
        "verdicts": [verdict(name, turns).as_dict() for name, turns in whole.items() if wanted],
        "highest_rate": highest,
        "best_by_device": {
            device: {"variant": name, "parts_per_s": highest[name]}
            for device, name in best.items()
            if name
        },
    }
