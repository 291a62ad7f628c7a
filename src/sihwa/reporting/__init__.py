"""The report of a run: a table in the terminal and one HTML page; drawings for both pages."""

from sihwa.reporting.image_uri import image_uri
from sihwa.reporting.page import write_report
from sihwa.reporting.report import MOST_ERRORS, ErrorImage, Report
from sihwa.reporting.similarity_text import (
    JOIN_GROUPS,
    PARTIAL_REMEDY,
    group_settings,
    proposed_setting,
    similarity_sentences,
)
from sihwa.reporting.terminal import metrics_table

__all__ = [
    "JOIN_GROUPS",
    "MOST_ERRORS",
    "PARTIAL_REMEDY",
    "ErrorImage",
    "Report",
    "group_settings",
    "image_uri",
    "metrics_table",
    "proposed_setting",
    "similarity_sentences",
    "write_report",
]
