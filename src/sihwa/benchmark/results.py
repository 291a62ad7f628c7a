"""What `benchmark.json` holds, written and read strictly.

Times are in ms unless the name says otherwise; `threads` 0 is all cores.
"""

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from sihwa.benchmark.ceilings import Ceilings
from sihwa.benchmark.environment import Conditions, Environment
from sihwa.benchmark.image_files import ImageFacts
from sihwa.benchmark.percentiles import Latency, bootstrap_interval, summarise
from sihwa.benchmark.roofline import Reach, Work, reach_of
from sihwa.benchmark.timing import STAGES, Stage, Timed
from sihwa.benchmark.turns import BatchTurn, Measurement, MemoryFigure, Schedule
from sihwa.benchmark.variant import LeftOut
from sihwa.benchmark.verdict import Verdict
from sihwa.errors import ConfigError
from sihwa.inspector.strict_json import Facts
from sihwa.storage import write_json


class InspectorFacts(Facts, frozen=True):
    """What was measured, and the work that it does for one image."""

    id: str
    network: str
    input_size: int | tuple[int, ...]
    dataset: str
    gflop_per_image: float
    preprocessing_gflop: float
    numbers_in_weights: int


class Samples(Facts, frozen=True):
    """All samples of some turns of equal length, in ns, compressed.

    Attributes:
        turns: How many.
        zlib: The samples as 8-byte integers: the lowest byte of each, then the next of each, and
            so on up to the highest, compressed. In JSON this is base64.

    >>> Samples.of([[1, 5_000_000_000]]).ns.tolist()
    [[1, 5000000000]]
    """

    turns: int
    zlib: bytes

    @classmethod
    def of(cls, turns: Sequence[Sequence[int]]) -> "Samples":
        """Compress samples in ns: R turns of C each."""
        planes = np.array(turns, "<i8").reshape(-1, 1).view(np.uint8).T
        return cls(len(turns), zlib.compress(planes.tobytes(), 9))

    @property
    def ns(self) -> NDArray[np.int64]:
        """The samples, (R, C)."""
        planes = np.frombuffer(zlib.decompress(self.zlib), np.uint8).reshape(8, -1)
        return planes.T.copy().view("<i8").reshape(self.turns, -1).astype(np.int64)


class Throughput(Facts, frozen=True):
    """Median rate in one batch size with its interval; energy of a GPU that reports it."""

    batch: int
    images_per_s: float
    low: float
    high: float
    joules_per_image: float | None
    watts: float | None
    turns: list[BatchTurn]


class VariantResult(Facts, frozen=True):
    """All that was measured of one variant; see `Measurement`.

    `raw_ns` holds every sample. `roofline` is None where the ceiling was not measured.
    """

    name: str
    runtime: str
    device: str
    precision: str
    threads: int
    start_s: list[float]
    memory: dict[MemoryFigure, float | None]
    file_to_decision: Latency
    stages: dict[Stage, Latency]
    model: Latency
    device_part: Latency | None
    throughput: list[Throughput]
    raw_ns: dict[Timed, Samples]
    roofline: dict[Literal["one_by_one", "best_batch"], Reach] | None

    @property
    def best_batch(self) -> Throughput:
        """The batch size with the most images per second."""
        return max(self.throughput, key=lambda one: one.images_per_s)

    @property
    def whole_ns(self) -> NDArray[np.int64]:
        """Every sample from file to decision, (R, C)."""
        total: NDArray[np.int64] = np.sum([self.raw_ns[stage].ns for stage in STAGES], axis=0)
        return total


class Line(Facts, frozen=True):
    """Verdicts for the rate or budget asked for, and the highest rate of each variant.

    `best_by_device` has the variant with the highest rate of each device, unless that is 0.
    """

    line_rate: float | None
    budget_ms: float | None
    verdicts: list[Verdict]
    highest_rate: dict[str, float]
    best_by_device: dict[str, str]


class Results(Facts, frozen=True, kw_only=True):
    """A whole benchmark of one inspector on one machine; timing itself has an overhead."""

    format: Literal["sihwa-benchmark"] = "sihwa-benchmark"
    format_version: Literal[2] = 2
    created: str
    code_version: str
    inspector: InspectorFacts
    images: ImageFacts
    settings: Schedule
    environment: Environment
    conditions: list[Conditions]
    overhead_us: float
    variants: list[VariantResult]
    left_out: list[LeftOut]
    ceilings: Ceilings | None
    line: Line

    @property
    def fastest(self) -> VariantResult:
        """The variant whose model alone is fastest."""
        return min(self.variants, key=lambda one: one.model.p50.value_ms)


def write_results(path: Path, results: Results) -> None:
    """Write the results as JSON, whole or not at all.

    Raises:
        StorageError: The disk refuses.
    """
    content = msgspec.to_builtins(results)
    msgspec.convert(content, Results)  # what workers answered is checked, too
    write_json(path, content)


def read_results(path: str | Path) -> Results:
    """Read what `write_results` wrote.

    Raises:
        ConfigError: The file is missing, or not a benchmark of this format.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: expected a benchmark.json of format 2: {error}") from error


def variant_result(
    measured: Measurement, work: Work, ceilings: Ceilings | None, seed: int
) -> VariantResult:
    """Return the figures of one variant; `work` is of one image, `seed` of the intervals."""
    variant = measured.worker.variant
    choice = variant.choice
    latency = {name: summarise(turns, seed) for name, turns in measured.spans.items()}
    throughput = [_throughput(size, turns, seed) for size, turns in measured.batches.items()]
    best = max(throughput, key=lambda one: one.images_per_s)
    ceiling = ceilings.of(choice.device, variant.threads) if ceilings else None
    roofline: dict[Literal["one_by_one", "best_batch"], Reach] | None = None
    if ceiling and choice.precision in ceiling.gflop_per_s:
        reach = partial(reach_of, work, choice.precision, ceiling)
        roofline = {
            "one_by_one": reach(1, 1000 / latency["model"].p50.value_ms),
            "best_batch": reach(best.batch, best.images_per_s),
        }
    return VariantResult(
        name=measured.name,
        runtime=choice.runtime,
        device=choice.device,
        precision=choice.precision,
        threads=variant.threads,
        start_s=measured.start_s,
        memory=measured.memory,
        file_to_decision=summarise(measured.whole, seed),
        stages={stage: latency[stage] for stage in STAGES},
        model=latency["model"],
        device_part=latency.get("device_part"),
        throughput=throughput,
        raw_ns={n: Samples.of(turns) for n, turns in measured.spans.items()},
        roofline=roofline,
    )


def _throughput(size: int, turns: list[BatchTurn], seed: int) -> Throughput:
    rates = np.array([turn.images / (turn.ns / 1e9) for turn in turns])
    low, high = bootstrap_interval(rates[:, None], [50.0], seed)[:, 0]
    joules = [turn.joules for turn in turns if turn.joules is not None]
    has_energy = len(joules) == len(turns) and sum(joules) > 0
    return Throughput(
        batch=size,
        images_per_s=float(np.median(rates)),
        low=float(low),
        high=float(high),
        joules_per_image=sum(joules) / sum(t.images for t in turns) if has_energy else None,
        watts=sum(joules) / sum(t.ns / 1e9 for t in turns) if has_energy else None,
        turns=turns,
    )
