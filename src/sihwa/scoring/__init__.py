"""Scoring: an inspector and images in, a table of decisions out."""

from sihwa.scoring.block import Entry, score_block
from sihwa.scoring.engine import Engine, LocalEngine, Scored
from sihwa.scoring.options import BATCH_SIZE, ReadOptions, ScoreOptions
from sihwa.scoring.ray_engine import open_ray_engine
from sihwa.scoring.rows import KEY_COLUMNS, Row, file_of_row, row_schema
from sihwa.scoring.score import score_sources, score_with
from sihwa.scoring.sources import Sources
from sihwa.scoring.summary import ScoreSummary

__all__ = [
    "BATCH_SIZE",
    "KEY_COLUMNS",
    "Engine",
    "Entry",
    "LocalEngine",
    "ReadOptions",
    "Row",
    "ScoreOptions",
    "ScoreSummary",
    "Scored",
    "Sources",
    "file_of_row",
    "open_ray_engine",
    "row_schema",
    "score_block",
    "score_sources",
    "score_with",
]
