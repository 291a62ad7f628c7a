"""The benchmark: an inspector and devices in, measured latency and throughput out."""

from sihwa.benchmark.page import write_page
from sihwa.benchmark.race import Course
from sihwa.benchmark.results import write_csv, write_results
from sihwa.benchmark.run import BenchmarkOptions, run_benchmark
from sihwa.benchmark.table import results_table

__all__ = [
    "BenchmarkOptions",
    "Course",
    "results_table",
    "run_benchmark",
    "write_csv",
    "write_page",
    "write_results",
]
