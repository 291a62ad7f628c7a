"""What a run found, for people: a table in the terminal and one HTML page."""

from sihwa.reporting.report import ErrorImage, Report, write_report
from sihwa.reporting.terminal import metrics_table

__all__ = ["ErrorImage", "Report", "metrics_table", "write_report"]
