"""Many spans as one stream of bytes: the same bytes as slicing, requests ahead, and an end at any moment."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_soup.checkpoints.backoff import Backoff
from hf_soup.checkpoints.span_stream import SpanStream, StreamClosed
from hf_soup.checkpoints.spans import Span
from hf_soup.errors import HubError

CDN = r"^/models/"
NAME = "model.safetensors"


class Sliced:
    """Stands in for a RemoteFile: its bytes come in pieces of any size."""

    def __init__(self, data: bytes, seed: int) -> None:
        self.data = data
        self.random = random.Random(seed)

    def chunks(self, start: int, stop: int, signal) -> Iterator[bytes]:
        while start < stop:
            count = min(self.random.randint(1, 70_000), stop - start)
            yield self.data[start : start + count]
            start += count


def read_all(stream: SpanStream, sizes: Iterator[int]) -> bytes:
    whole = bytearray()
    while stream.bytes_left:
        buffer = bytearray(min(next(sizes), stream.bytes_left))
        stream.read_into(memoryview(buffer))
        whole += buffer
    return bytes(whole)


def spans_in(files: dict[str, bytes]):
    def span(path: str):
        size = len(files[path])
        bounds = st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted)
        return bounds.map(lambda pair: Span(path, pair[0], pair[1] - pair[0]))

    return st.lists(st.sampled_from(sorted(files)).flatmap(span), max_size=6)


@given(
    data=st.data(),
    sizes=st.lists(st.sampled_from([0, 1, 5, 1000, 65_536, 65_537, 400_000, 3_000_000]), min_size=1, max_size=3),
    range_bytes=st.sampled_from([1000, 100_000, 32_000_000]),
    ahead=st.integers(0, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_spans_of_any_files_are_the_bytes_that_slicing_gives(random_bytes, data, sizes, range_bytes, ahead, seed):
    files = {f"{number}.safetensors": random_bytes(size) for number, size in enumerate(sizes)}
    spans = data.draw(spans_in(files))
    if sum(span.length for span in spans) // range_bytes > 100:
        range_bytes = 100_000
    expected = b"".join(files[span.path][span.offset : span.stop] for span in spans)
    remote = {path: Sliced(content, seed) for path, content in files.items()}
    chooser = random.Random(seed)
    with SpanStream(remote, spans, range_bytes, ahead) as stream:
        assert stream.bytes_left == len(expected)
        assert read_all(stream, iter(lambda: chooser.choice([1, 999, 300_000, 5_000_000]), None)) == expected
        with pytest.raises(EOFError):
            stream.read_into(memoryview(bytearray(1)))


@pytest.mark.hub
@given(
    data=st.data(),
    range_bytes=st.sampled_from([40_000, 100_000, 32_000_000]),
    cut=st.one_of(st.none(), st.integers(0, 120_000)),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_over_http_too_though_bodies_break_off(hub, http_files, data, range_bytes, cut):
    contents, remote = http_files
    spans = data.draw(spans_in(contents))
    hub.faults.clear()
    if cut is not None:
        hub.faults.add(CDN, "GET", truncate=cut, times=2)
    with SpanStream(remote, spans, range_bytes) as stream:
        expected = b"".join(contents[span.path][span.offset : span.stop] for span in spans)
        assert read_all(stream, iter(lambda: 70_000, None)) == expected


@pytest.fixture
def http_files(stored, random_bytes):
    """Two files in the storage and a small one that the Hub serves itself."""
    contents = {"a.bin": random_bytes(300_000), "b.bin": random_bytes(1), "notes.txt": b"0123456789"}
    return contents, {path: stored(content, path) for path, content in contents.items()}


def cdn_ranges(hub) -> list[str]:
    return [request.range for request in hub.requests if request.origin == "cdn"]


@pytest.mark.hub
def test_one_request_is_ahead_of_the_one_that_is_read_and_never_two(hub, stored, random_bytes):
    data = random_bytes(400_000)
    with SpanStream({NAME: stored(data)}, [Span(NAME, 0, len(data))], range_bytes=100_000) as stream:
        assert hub.requests == []
        buffer = memoryview(bytearray(len(data)))
        for ranges_read in range(3):
            start = ranges_read * 100_000
            stream.read_into(buffer[start : start + 1])
            assert hub.wait_for_requests(ranges_read + 2, "cdn", patience_s=10)
            stream.read_into(buffer[start + 1 : start + 100_000])
            assert len(cdn_ranges(hub)) == ranges_read + 2
        stream.read_into(buffer[300_000:])
        assert buffer == data
    assert sorted(cdn_ranges(hub)) == [f"bytes={at}-{at + 99_999}" for at in range(0, 400_000, 100_000)]


@pytest.mark.hub
def test_a_range_that_waits_its_turn_holds_no_more_than_it_says(hub, stored, random_bytes):
    data = random_bytes(40_000_000)
    with SpanStream({NAME: stored(data)}, [Span(NAME, 0, len(data))], range_bytes=20_000_000) as stream:
        whole = bytearray(len(data))
        stream.read_into(memoryview(whole)[:1])
        assert hub.wait_for_requests(2, "cdn", patience_s=10)
        assert sum(arriving._held for arriving in stream._open) <= stream.buffered_bytes < 4_000_000
        stream.read_into(memoryview(whole)[1:])
        assert whole == data


@pytest.mark.hub
@pytest.mark.parametrize("kind", ["truncate", "reset"])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("at", [0, 50_000, 99_999])
def test_a_break_in_any_range_costs_one_request_and_no_byte(hub, stored, random_bytes, waits, kind, number, at):
    data = random_bytes(300_000)
    file = stored(data)
    hub.faults.add(CDN, "GET", skip=number, **{kind: at})
    with SpanStream({NAME: file}, [Span(NAME, 0, len(data))], range_bytes=100_000) as stream:
        assert read_all(stream, iter(lambda: 33_333, None)) == data
    assert len(cdn_ranges(hub)) == 4
    assert waits == [1.0]


@pytest.mark.hub
def test_locations_may_expire_between_two_ranges(hub, stored, random_bytes):
    data = random_bytes(300_000)
    with SpanStream({NAME: stored(data)}, [Span(NAME, 0, len(data))], range_bytes=100_000, ahead=0) as stream:
        buffer = memoryview(bytearray(len(data)))
        stream.read_into(buffer[:100_000])
        hub.expire_locations()
        stream.read_into(buffer[100_000:])
        assert buffer == data
    assert [request.status for request in hub.requests] == [302, 206, 403, 302, 206, 206]


@pytest.mark.hub
def test_an_error_comes_after_the_bytes_that_were_good(hub, stored, random_bytes):
    data = random_bytes(300_000)
    file = stored(data)
    hub.faults.add(CDN, "GET", ignore_range=True, skip=1)
    with SpanStream({NAME: file}, [Span(NAME, 0, len(data))], range_bytes=150_000, ahead=0) as stream:
        buffer = memoryview(bytearray(len(data)))
        stream.read_into(buffer[:150_000])
        assert buffer[:150_000] == data[:150_000]
        with pytest.raises(HubError, match=r"status 200 instead of 206"):
            stream.read_into(buffer[150_000:])


def slow_body(hub):
    hub.faults.add(CDN, "GET", slow=2_000, times=None)


def no_more_bytes(hub):
    hub.faults.add(CDN, "GET", stall=10_000, times=None)


def a_long_back_off(hub):
    hub.faults.add(CDN, "GET", status=503, headers={"Retry-After": "300"}, times=None)


@pytest.mark.hub
@pytest.mark.parametrize("trouble", [slow_body, no_more_bytes, a_long_back_off])
def test_closing_from_another_thread_ends_the_reader_and_every_request(hub, stored, random_bytes, trouble):
    data = random_bytes(500_000)
    before = set(threading.enumerate())
    stream = SpanStream({NAME: stored(data, backoff=Backoff(stall_s=60))}, [Span(NAME, 0, len(data))], 200_000)
    trouble(hub)
    ended: list[BaseException] = []

    def reader() -> None:
        try:
            stream.read_into(memoryview(bytearray(len(data))))
        except StreamClosed as error:
            ended.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    assert hub.wait_for_requests(2, "cdn", patience_s=10)
    stream.close()
    thread.join(5)
    assert len(ended) == 1
    for left in set(threading.enumerate()) - before:
        if left.name.startswith("range of"):
            left.join(5)
            assert not left.is_alive()
    stream.close()
    with pytest.raises(StreamClosed):
        stream.read_into(memoryview(bytearray(1)))


@pytest.mark.hub
def test_closing_does_not_wait_for_an_answer_that_has_not_begun(hub, stored, random_bytes, monkeypatch):
    stream = SpanStream({NAME: stored(random_bytes(1000))}, [Span(NAME, 0, 1000)])
    monkeypatch.setattr(hub, "latency_s", 1.0)
    closer = threading.Thread(target=lambda: hub.wait_for_requests(1) and stream.close())
    closer.start()
    with pytest.raises(StreamClosed):
        stream.read_into(memoryview(bytearray(1000)))
    closer.join()
    assert hub.requests[0].status is None  # the reader did not wait for it


@pytest.mark.hub
def test_a_stream_that_nobody_reads_makes_no_request(hub, stored, random_bytes):
    SpanStream({NAME: stored(random_bytes(1000))}, [Span(NAME, 0, 1000)]).close()
    assert hub.requests == []
