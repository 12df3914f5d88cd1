"""Spans, and the requests that bring them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_soup.checkpoints.spans import Span, coalesce, cut, request_count, windows

spans = st.lists(
    st.builds(Span, st.sampled_from("ab"), st.integers(0, 300), st.integers(0, 60)),
    max_size=20,
)


def positions(spans: list[Span]) -> list[tuple[str, int]]:
    return [(span.path, at) for span in spans for at in range(span.offset, span.stop)]


@given(spans, st.integers(1, 80))
def test_requests_bring_every_byte_once_in_order(spans, range_bytes):
    requests = cut(spans, range_bytes)
    assert positions(requests) == positions(spans)
    assert request_count(spans, range_bytes) == len(requests)
    assert all(request.length > 0 for request in requests)


@given(spans, st.integers(1, 80))
def test_requests_are_neither_much_larger_than_asked_nor_needlessly_small(spans, range_bytes):
    runs = coalesce(spans)
    requests = cut(spans, range_bytes)
    assert all(request.length < 2 * range_bytes for request in requests)
    assert sum(run.length < range_bytes for run in runs) == sum(request.length < range_bytes for request in requests)


@pytest.mark.parametrize(
    ("nbytes", "requests"), [(1, 1), (31_999_999, 1), (63_999_999, 1), (64_000_000, 2), (200_000_000, 6)]
)
def test_a_run_takes_one_request_for_each_32_megabytes(nbytes, requests):
    assert request_count([Span("a", 8, nbytes)]) == requests


@given(spans, st.integers(1, 5), st.integers(0, 400))
def test_windows_keep_their_bounds(spans, max_requests, max_bytes):
    found = windows(spans, max_requests, max_bytes)
    assert len(found) <= max_requests
    assert sum(window.length for window in found) <= max_bytes


@given(spans)
def test_with_room_enough_every_span_lies_in_one_window(spans):
    found = windows(spans, max_requests=2, max_bytes=10_000)
    assert all(sum(window.holds(span) for window in found) == 1 for span in spans if span.length)


def test_narrow_gaps_are_bridged_before_wide_ones():
    asked = [Span("a", 0, 10), Span("a", 12, 10), Span("a", 500, 10), Span("b", 0, 5)]
    assert windows(asked, 3, 1000) == [Span("a", 0, 22), Span("a", 500, 10), Span("b", 0, 5)]
    assert windows(asked, 2, 1000) == [Span("a", 0, 510), Span("b", 0, 5)]


def test_where_not_all_fits_the_windows_with_most_spans_are_kept():
    asked = [Span("a", 0, 10), Span("a", 11, 10), Span("a", 900, 10), Span("b", 0, 10)]
    assert windows(asked, 1, 100) == [Span("a", 0, 21)]
