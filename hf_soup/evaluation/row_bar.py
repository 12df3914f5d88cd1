"""The bar that shows how many rows a model has done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def row_bar(title: str, rows: int) -> Iterator[Callable[[int], None]]:
    """Yields the function that advances the bar. On a standard error that is no terminal nothing is drawn."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=rows)
        yield lambda done: progress.update(task, advance=done)
