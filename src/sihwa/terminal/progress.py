"""One progress bar for everything that takes over two seconds; silent without a terminal."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Advance(Protocol):
    """Moves a bar."""

    def __call__(self, count: int, note: str = "") -> None:
        """Move it by `count`, and show `note` after its title if there is one."""
        ...


class _RateColumn(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {self.unit}/s")


@contextlib.contextmanager
def progress_bar(
    title: str, total: int | Callable[[], int | None] | None, unit: str = "images"
) -> Iterator[Advance]:
    """Show a bar with count, rate and time left on standard error, if that is a terminal.

    Yields `advance(count)`. `total` is None if unknown, or a function that returns it at each step.

    >>> with progress_bar("reading", 2) as advance:
    ...     advance(2)
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        known = total if callable(total) else lambda: total
        task = bar.add_task(title, total=known())

        def advance(count: int, note: str = "") -> None:
            text = f"{title}: {note}" if note else title
            bar.update(task, advance=count, total=known(), description=text)

        yield advance
