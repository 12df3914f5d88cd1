"""What long work shows on standard error while it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar in bytes with rate and time left; yields the function that advances it, safe to call from threads.

    On a standard error that is no terminal nothing is drawn.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(title, total=total)
        yield lambda nbytes: progress.update(task, advance=nbytes)


def say(sentence: str) -> None:
    """Prints one line on standard error."""
    print(sentence, file=sys.stderr, flush=True)
