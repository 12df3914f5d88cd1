"""Spans of bytes in files, and the few requests that bring many of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

RANGE_BYTES = 32_000_000
"""Bytes of one request: at 100 MB/s a third of a second, beside which its latency is small."""


@dataclass(frozen=True, order=True)
class Span:
    """The bytes [offset, offset + length) of the file `path`."""

    path: str
    offset: int
    length: int

    @property
    def stop(self) -> int:
        return self.offset + self.length

    def holds(self, other: Span) -> bool:
        return self.path == other.path and self.offset <= other.offset and other.stop <= self.stop


def coalesce(spans: Iterable[Span]) -> list[Span]:
    """Joins spans that follow each other in a file; the order stays, empty ones vanish.

    >>> coalesce([Span("a", 0, 4), Span("a", 4, 2), Span("b", 6, 1)])
    [Span(path='a', offset=0, length=6), Span(path='b', offset=6, length=1)]
    """
    runs: list[Span] = []
    for span in spans:
        if span.length == 0:
            continue
        if runs and runs[-1].path == span.path and runs[-1].stop == span.offset:
            runs[-1] = Span(span.path, runs[-1].offset, runs[-1].length + span.length)
        else:
            runs.append(span)
    return runs


def cut(spans: Iterable[Span], range_bytes: int = RANGE_BYTES) -> list[Span]:
    """Returns the requests that bring these spans in this order: runs in equal parts of `range_bytes` or a bit more."""
    requests = []
    for run in coalesce(spans):
        count = max(1, run.length // range_bytes)
        cuts = [run.length * number // count for number in range(count + 1)]
        requests += [Span(run.path, run.offset + a, b - a) for a, b in itertools.pairwise(cuts)]
    return requests


def request_count(spans: Iterable[Span], range_bytes: int = RANGE_BYTES) -> int:
    """Returns how many requests `cut` makes, without making them.

    >>> request_count([Span("a", 0, 50_000_000), Span("a", 50_000_000, 50_000_000), Span("b", 0, 10)])
    4
    """
    return sum(max(1, run.length // range_bytes) for run in coalesce(spans))


def windows(spans: Sequence[Span], max_requests: int, max_bytes: int) -> list[Span]:
    """Returns at most `max_requests` windows of at most `max_bytes` together that hold the spans, or as many as fit.

    The narrowest gaps are bridged first. Where the bounds are too tight, windows with the most spans in them win.
    """
    found: list[Span] = []
    for span in sorted(span for span in spans if span.length):
        if found and found[-1].path == span.path and span.offset <= found[-1].stop:
            found[-1] = _joined(found[-1], span)
        else:
            found.append(span)
    gaps = sorted((right.offset - left.stop, i) for i, (left, right) in _neighbours(found))
    total = sum(window.length for window in found)
    bridged: set[int] = set()
    for gap, index in gaps:
        if len(found) - len(bridged) <= max_requests or total + gap > max_bytes:
            break
        bridged.add(index)
        total += gap
    found = _bridged(found, bridged)
    worth = {window: sum(window.holds(span) for span in spans) for window in found}
    kept: list[Span] = []
    for window in sorted(found, key=lambda window: (-worth[window], window)):
        if len(kept) < max_requests and sum(w.length for w in kept) + window.length <= max_bytes:
            kept.append(window)
    return sorted(kept)


def _joined(one: Span, other: Span) -> Span:
    return Span(one.path, one.offset, max(one.stop, other.stop) - one.offset)


def _neighbours(found: Sequence[Span]) -> Iterator[tuple[int, tuple[Span, Span]]]:
    """Pairs of one file, each with the index of its first."""
    for index, pair in enumerate(itertools.pairwise(found)):
        if pair[0].path == pair[1].path:
            yield index, pair


def _bridged(found: Sequence[Span], bridged: set[int]) -> list[Span]:
    """Joins each window whose index is given to the one after it."""
    joined: list[Span] = []
    for index, window in enumerate(found):
        if index - 1 in bridged:
            joined[-1] = _joined(joined[-1], window)
        else:
            joined.append(window)
    return joined
