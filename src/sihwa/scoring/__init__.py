"""Scoring: an inspector and pictures in, one row per picture out."""

from sihwa.scoring.rows import Row, row_schema
from sihwa.scoring.score import ScoreSummary, score_folder, score_paths

__all__ = ["Row", "ScoreSummary", "row_schema", "score_folder", "score_paths"]
