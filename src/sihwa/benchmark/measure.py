"""A whole benchmark of an inspector on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

import sihwa
from sihwa.benchmark.ceilings import measure_ceilings
from sihwa.benchmark.environment import (
    Conditions,
    describe_conditions,
    describe_environment,
    open_gpus,
)
from sihwa.benchmark.image_files import ImageFacts, prepared_images
from sihwa.benchmark.results import InspectorFacts, Line, Results, variant_result
from sihwa.benchmark.roofline import count_work
from sihwa.benchmark.turns import Measurement, Schedule, take_turns
from sihwa.benchmark.variant import LeftOut, Variant, list_variants
from sihwa.benchmark.verdict import give_verdict, highest_rate
from sihwa.benchmark.worker_process import Worker
from sihwa.errors import ConfigError, RuntimeUnavailable, check_settings
from sihwa.images import MAX_PIXELS, Decoding, available_cores
from sihwa.inspector import Bundle, read_bundle
from sihwa.inspector.verify import read_verification
from sihwa.storage import usable_folder
from sihwa.terminal.progress import progress_bar

_MOST_BATCH_BYTES = 256 * 2**20


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured; see `sihwa benchmark --help`. A rate or a budget asks for a verdict."""

    devices: Sequence[str] = ("cpu",)
    images: Path | None = None
    limit: int = 200
    threads: Sequence[int] = (1, 0)
    runtimes: Sequence[str] = ("auto",)
    schedule: Schedule = field(default_factory=Schedule)
    line_rate: float | None = None
    budget_ms: float | None = None
    ceilings: bool = True
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Reject what is out of range."""
        if not self.devices or not self.runtimes:
            name = "--runtimes" if self.devices else "--devices"
            raise ConfigError(f"{name} must name at least one, got none")
        for name, value in (("--line-rate", self.line_rate), ("--budget-ms", self.budget_ms)):
            if value is not None and not 0.001 <= value <= 1_000_000:
                raise ConfigError(f"{name} must be from 0.001 to 1,000,000, got {value}")
        check_settings("--", self, max_pixels="[1, inf)")
        for name, values, least, most, what in (
            ("--threads", self.threads, 0, available_cores(), ", the cores of this machine"),
            ("--batches", self.schedule.batches, 1, 1_000_000, ""),
        ):
            wrong = [value for value in values if not least <= value <= most]
            if wrong or not values:
                got = wrong[0] if wrong else "nothing"
                raise ConfigError(f"{name} must be {least} to {most:,}{what}, got {got}")


def run_benchmark(
    path: Path,
    options: BenchmarkOptions,
    folder: Path,
    make_worker: Callable[[Variant, Path, Sequence[str]], Worker] = Worker,
) -> Results:
    """Time every variant of an inspector (its folder or .onnx file) that may decide here.

    The folder of the results is made before the long work.

    Raises:
        InvalidInspector: The inspector is missing, damaged, foreign or too new.
        RuntimeUnavailable: There is no such device, or nothing may decide on it.
        DatasetError: There are no images, or none can be read.
        ConfigError: Every batch size takes too much memory.
        StorageError: The folder cannot be written to.
    """
    bundle = read_bundle(path)
    variants, left_out = _variants(path, bundle, options)
    decoding = Decoding(options.max_pixels, bundle.card.white, "--max-pixels")
    with (
        prepared_images(path, options.images, options.limit, decoding) as (paths, images),
        usable_folder(folder),
    ):
        schedule, too_large = _fitting(options.schedule, images)
        ceilings = None
        if options.ceilings:
            ceilings = measure_ceilings(path, paths, options.devices, options.threads)
        workers = [make_worker(variant, path, paths) for variant in variants]
        gpus = open_gpus(options.devices)
        conditions: list[Conditions] = []
        with progress_bar("timing", schedule.steps * len(variants), "turns") as advance:
            measured, failed = take_turns(
                workers,
                schedule,
                gpus,
                lambda number: conditions.append(describe_conditions(number, gpus)),
                advance,
            )
        if not measured:
            raise RuntimeUnavailable(
                f"nothing could be timed; {failed[0].name}: {failed[0].reason}"
            )
        size = images.usual_size
        work = count_work(bundle, size.height, size.width)
        return Results(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            code_version=sihwa.__version__,
            inspector=InspectorFacts(
                id=bundle.card.id,
                network=bundle.card.network.name,
                input_size=bundle.card.network.input_size,
                dataset=bundle.card.dataset.name,
                gflop_per_image=work.flop / 1e9,
                preprocessing_gflop=work.preprocess_flop / 1e9,
                numbers_in_weights=work.weights,
            ),
            images=images,
            settings=schedule,
            environment=describe_environment(options.devices),
            conditions=conditions,
            overhead_us=float(np.median([one.spans["overhead"] for one in measured])) / 1000,
            variants=[variant_result(one, work, ceilings, schedule.seed) for one in measured],
            left_out=[*left_out, *too_large, *failed],
            ceilings=ceilings,
            line=_line(measured, options),
        )


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


def _fitting(schedule: Schedule, images: ImageFacts) -> tuple[Schedule, list[LeftOut]]:
    """Leave out batches that would take too much memory; a large image fills cores alone."""
    height, width = images.usual_size.height, images.usual_size.width
    most = max(1, _MOST_BATCH_BYTES // (height * width * 3))
    batches = tuple(size for size in schedule.batches if size <= most)
    reason = f"more than {most} images of {width} × {height} take over 256 MiB"
    if not batches:
        got = schedule.batches[0]
        raise ConfigError(f"--batches must be 1 to {most} here, got {got}: {reason}")
    left_out = [LeftOut(f"batches of {n}", reason) for n in schedule.batches if n > most]
    return msgspec.structs.replace(schedule, batches=batches), left_out


def _line(measured: Sequence[Measurement], options: BenchmarkOptions) -> Line:
    """Return the highest rate of each variant, and verdicts where they were asked for."""
    rate, budget_ms, seed = options.line_rate, options.budget_ms, options.schedule.seed
    verdicts = []
    rates: dict[str, float] = {}
    best: dict[str, str] = {}
    with progress_bar("computing rates", len(measured), "variants") as advance:
        for one in measured:
            name, turns_ms = one.name, np.array(one.whole) / 1e6
            if rate is not None or budget_ms is not None:
                verdicts.append(give_verdict(name, turns_ms, rate, budget_ms, seed))
            rates[name] = highest_rate(turns_ms, budget_ms, seed)
            device = one.worker.variant.choice.device
            if rates[name] > rates.get(best.get(device, ""), 0):
                best[device] = name
            advance(1)
    return Line(rate, budget_ms, verdicts, rates, best)
