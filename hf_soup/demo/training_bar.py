"""What fine-tuning shows on standard error: a bar a run on a terminal, one line a run elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hf_soup.progress import say

if TYPE_CHECKING:
    from rich.progress import TaskID

    from hf_soup.demo.fine_tunes import Progress


@contextmanager
def training_bar() -> Iterator[Progress]:
    """Yields the callback for `make_fine_tunes`."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(elapsed_when_finished=True),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(name: str, done: int, steps: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=steps)
            bars.update(tasks[name], completed=done)

        yield advance


def _lines() -> Progress:
    started: dict[str, float] = {}

    def on_step(name: str, done: int, steps: int) -> None:
        started.setdefault(name, time.monotonic())
        if done == steps:
            say(f"{name}: {steps} steps in {time.monotonic() - started[name]:.0f} s")

    return on_step
