"""What a run found, for people: a table in the terminal and one HTML page."""

from sihwa.reporting.report import ErrorPicture, Report, write_report
from sihwa.reporting.terminal import metrics_table

__all__ = ["ErrorPicture", "Report", "metrics_table", "write_report"]
