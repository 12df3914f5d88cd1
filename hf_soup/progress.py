"""What long work shows on standard error while it goes on: a bar for people, lines of JSON for programs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from hf_soup.ranks import is_main_process

_SECONDS_BETWEEN_EVENTS = 0.5


@dataclass
class _Audience:
    """Who reads standard error: `programs` within `speaking_json`, else people."""

    programs: bool = False


_AUDIENCE = _Audience()


@contextmanager
def speaking_json(yes: bool) -> Iterator[None]:
    """Within the block, progress is told as one JSON object a line: `{"event": "progress", "phase": …, "bytes": …, "total": …}`."""
    before = _AUDIENCE.programs
    _AUDIENCE.programs = yes
    try:
        yield
    finally:
        _AUDIENCE.programs = before


@contextmanager
def byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar in bytes with rate and time left; yields the function that advances it, safe to call from threads.

    On a standard error that is no terminal nothing is drawn, and of several processes only the main one draws.
    """
    if not is_main_process():
        yield lambda nbytes: None
        return
    if _AUDIENCE.programs:
        yield from _events(title, total)
        return
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


@contextmanager
def step_bars(
    title: str, totals: Mapping[str, int], done: Mapping[str, int], costs: Mapping[str, float]
) -> Iterator[Callable[..., None]]:
    """Shows a bar for each name, in steps, with dollars and the time left; yields `advance(name, steps, cost)`, which adds both.

    `done`, `costs`: what there was before this work, which its speed does not come from. To programs:
    `{"event": "progress", "phase": title, "name": …, "done": …, "total": …, "cost": …, "seconds_left": …}`.
    """
    if _AUDIENCE.programs and is_main_process():
        yield _StepEvents(title, totals, done, costs).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("${task.fields[cost]:.4f}"),
        TimeRemainingColumn(),
    )
    shown = sys.stderr.isatty() and is_main_process()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        tasks = {
            name: progress.add_task(name, total=total, completed=done[name], cost=costs[name])
            for name, total in totals.items()
        }
        spent = dict(costs)

        def advance(name: str, steps: int, cost: float) -> None:
            spent[name] += cost
            progress.update(tasks[name], advance=steps, cost=spent[name])

        yield advance


class _StepEvents:
    """Tells each name at most every half second, and when it is complete."""

    def __init__(
        self, title: str, totals: Mapping[str, int], done: Mapping[str, int], costs: Mapping[str, float]
    ) -> None:
        self._title, self._totals, self._before = title, totals, dict(done)
        self._done, self._costs = dict(done), dict(costs)
        self._start = time.monotonic()
        self._told = dict.fromkeys(totals, self._start)
        for name in totals:
            self._tell(name, self._start)

    def advance(self, name: str, steps: int, cost: float) -> None:
        self._done[name] += steps
        self._costs[name] += cost
        complete = steps and self._done[name] == self._totals[name]
        now = time.monotonic()
        if complete or now - self._told[name] >= _SECONDS_BETWEEN_EVENTS:
            self._told[name] = now
            self._tell(name, now)

    def _tell(self, name: str, now: float) -> None:
        done, total = self._done[name], self._totals[name]
        made = done - self._before[name]
        _print_event(
            event="progress",
            phase=self._title,
            name=name,
            done=done,
            total=total,
            cost=round(self._costs[name], 6),
            seconds_left=round((now - self._start) / made * (total - done), 1) if made else None,
        )


def phase(name: str) -> None:
    """Says which part of the work begins, where somebody may be waiting: on a terminal, or to a program."""
    if _AUDIENCE.programs:
        _print_event(event="phase", phase=name)
    elif sys.stderr.isatty():
        say(f"{name[0].upper()}{name[1:]} …")


def say(sentence: str) -> None:
    """Prints one line on standard error."""
    if _AUDIENCE.programs:
        _print_event(event="message", message=sentence)
    else:
        print(sentence, file=sys.stderr, flush=True)


def _events(title: str, total: int) -> Iterator[Callable[[int], None]]:
    lock = threading.Lock()
    done, told = 0, time.monotonic()
    _print_event(event="progress", phase=title, bytes=0, total=total)

    def advance(nbytes: int) -> None:
        nonlocal done, told
        with lock:
            done += nbytes
            if time.monotonic() - told < _SECONDS_BETWEEN_EVENTS:
                return
            told = time.monotonic()
            _print_event(event="progress", phase=title, bytes=done, total=total)

    yield advance
    _print_event(event="progress", phase=title, bytes=done, total=total)


def _print_event(**event: object) -> None:
    print(json.dumps(event, ensure_ascii=False), file=sys.stderr, flush=True)
