"""The benchmark: an inspector and devices in, measured latency and throughput out."""

from sihwa.benchmark.measure import BenchmarkOptions, run_benchmark
from sihwa.benchmark.results import Results, read_results, write_results
from sihwa.benchmark.results_page import write_page
from sihwa.benchmark.results_text import results_table
from sihwa.benchmark.turns import Schedule

__all__ = [
    "BenchmarkOptions",
    "Results",
    "Schedule",
    "read_results",
    "results_table",
    "run_benchmark",
    "write_page",
    "write_results",
]
