"""Decide the rows of a score table again, under another policy of the same inspector."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from sihwa.decision import Policy
from sihwa.errors import ConfigError, DatasetError
from sihwa.inspector import Card, card_policy
from sihwa.inspector.inspector import ONE_COLOUR
from sihwa.scoring.score_table import ScoreRows
from sihwa.scoring.table import TableCopy, is_table_file


def decide_again(scores: ScoreRows, old: Card, new: Card, out: Path) -> Counter[str]:
    """Write a score table with the decisions of another policy.

    A row without probabilities, or of an image of one colour, stays in review.

    Args:
        scores: The table.
        old: Card of the inspector that scored it.
        new: Card of the same network with the other policy.
        out: The new table, a .csv, .jsonl or .parquet file.

    Returns:
        How many rows went from one decision to another: {"accept -> review": 3}.

    Raises:
        ConfigError: `out` is no such file, or exists.
        DatasetError: Another inspector wrote the table, or it is damaged.
        StorageError: The disk refuses.
    """
    if not is_table_file(out) or out.exists():
        raise ConfigError(
            f"--out: expected the name of a new .csv, .jsonl or .parquet file, got {out}"
        )
    policy = card_policy(new)
    moved: Counter[str] = Counter()

    def decided() -> Iterator[pa.Table]:
        for table in scores.tables():
            if others := set(table["inspector"].to_pylist()) - {old.id}:
                raise DatasetError(
                    f"{scores.path}: scored by inspector {min(others)}, not by {old.id}. Give the "
                    "inspector that wrote the table"
                )
            changed = _decide(table, policy, new)
            pairs = zip(*(one["decision"].to_pylist() for one in (table, changed)), strict=True)
            moved.update(f"{before} -> {now}" for before, now in pairs if before != now)
            yield changed

    TableCopy(out, scores.schema).write(decided())
    return moved


def _decide(table: pa.Table, policy: Policy, card: Card) -> pa.Table:
    columns = [f"probability_{name}" for name in card.classes]
    probability = np.stack([table[name].to_numpy() for name in columns], axis=1)
    unknown = table["unknown"].to_numpy()
    one_colour = ONE_COLOUR.reason
    decisions = [
        (row["decision"], row["reason"])
        if row["error"] or row["reason"] == one_colour or not np.isfinite(outputs).all()
        else (decision.outcome, decision.reason)
        for row, outputs, decision in zip(
            table.select(["decision", "reason", "error"]).to_pylist(),
            np.c_[probability, unknown],
            policy.decide(probability, unknown),
            strict=True,
        )
    ]
    changed = {
        "decision": [decision for decision, _ in decisions],
        "reason": [reason for _, reason in decisions],
        "inspector": [card.id] * len(decisions),
        "thresholds": [card.thresholds_id] * len(decisions),
    }
    for name, values in changed.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, pa.string()))
    return table
