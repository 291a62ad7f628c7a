"""Scoring: an inspector and pictures in, one row per picture out."""

from sihwa.scoring.block import BATCH_SIZE, Entry, ReadOptions, score_block
from sihwa.scoring.rows import KEY_COLUMNS, Row, file_of_row, row_schema
from sihwa.scoring.score import ScoreOptions, available_cores, score_sources
from sihwa.scoring.sources import Sources
from sihwa.scoring.summary import ScoreSummary
from sihwa.scoring.table_parts import part_path, write_part

__all__ = [
    "BATCH_SIZE",
    "KEY_COLUMNS",
    "Entry",
    "ReadOptions",
    "Row",
    "ScoreOptions",
    "ScoreSummary",
    "Sources",
    "available_cores",
    "file_of_row",
    "part_path",
    "row_schema",
    "score_block",
    "score_sources",
    "write_part",
]
