"""The benchmark: an inspector and devices in, measured latency and throughput out."""

from sihwa.benchmark.measure import BenchmarkOptions, run_benchmark
from sihwa.benchmark.race import Schedule
from sihwa.benchmark.results import write_csv, write_results
from sihwa.benchmark.results_page import write_page
from sihwa.benchmark.results_table import results_table

__all__ = [
    "BenchmarkOptions",
    "Schedule",
    "results_table",
    "run_benchmark",
    "write_csv",
    "write_page",
    "write_results",
]
