import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sihwa.evaluation import Truth, evaluate
from sihwa.reporting import metrics_table
from sihwa.reporting.figure_rows import decimal_interval, percent, percent_interval


def shown(classes: list[str], accept: list[str]) -> str:
    probability = np.eye(len(classes)) * 0.9 + 0.1 / len(classes)
    measured = evaluate(
        probability[[0, 1, 1]], Truth(np.array([0, 0, 1]), classes, accept_classes=accept)
    )
    stream = io.StringIO()
    Console(file=stream, width=80).print(metrics_table(measured))
    return stream.getvalue()


def test_metrics_table_accept_class_shows_escapes_and_overkill() -> None:
    text = shown(["good", "crack"], ["good"])
    assert "Escapes" in text
    assert "exact, 1 of 2" in text
    assert "exact (Clopper-Pearson)" in text
    assert "Escapes" not in shown(["good", "crack"], [])


@pytest.mark.parametrize("name", ["균열결함", "[red]x[/]", "[/nothing]", "a" * 70])
def test_metrics_table_odd_name_is_shown_whole_in_80_columns(name: str) -> None:
    text = shown(["good", name, "never seen"], [])
    first_column = [re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines()]
    assert name in "".join(first_column)  # a long name is folded over several lines
    assert max(map(len, text.splitlines())) <= 80
    assert "no test image" in text
    assert "never predicted" in text


@given(st.floats(0, 1), st.floats(0, 1))
def test_percent_interval_any_ends_is_rounded_outwards(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for text, scale in (
        (percent_interval(low, high).removesuffix(" %"), 100),
        (decimal_interval(low, high), 1),
    ):
        shown_low, shown_high = (float(end) / scale for end in text.split(" – "))
        assert shown_low <= low + 1e-9
        assert shown_high >= high - 1e-9


@given(st.floats(0, 1))
def test_percent_any_share_is_all_or_none_only_if_it_is(value: float) -> None:
    assert (percent(value) == "100.00 %") == (value == 1)
    assert (percent(value) == "0.00 %") == (value == 0)
