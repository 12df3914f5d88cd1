"""Many spans of remote files as one stream of bytes, with the next request under way while one is read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from hf_soup.checkpoints.arriving_range import CLIENT_BYTES, HELD_BYTES, ArrivingRange
from hf_soup.checkpoints.remote_file import RemoteFile
from hf_soup.checkpoints.spans import RANGE_BYTES, Span, cut
from hf_soup.checkpoints.stop_signal import StopSignal
from hf_soup.errors import SoupError

CLIENT_CONNECTIONS = 100
"""Of huggingface_hub's shared client. Streams that are read in turn hold (1 + ahead) each, half-read ones too: together
they must stay below, or the last of them wait for a connection in vain and fail."""


class StreamClosed(SoupError):
    """A read from a stream that was closed, by the same thread or while it waited."""


class SpanStream:
    """The bytes of `spans`, one after the other; each is read once. One thread reads, any thread may close.

    Requests are of `range_bytes` or a bit more, over runs of spans that follow each other in a file; `ahead` of them are
    open beside the one that is being read. The first starts with the first `read_into`.

    >>> with SpanStream(files, [Span("model.safetensors", 1000, 4_000_000)]) as stream:
    ...     stream.read_into(memoryview(buffer))
    """

    def __init__(
        self,
        files: Mapping[str, RemoteFile],
        spans: Iterable[Span],
        range_bytes: int = RANGE_BYTES,
        ahead: int = 1,
    ) -> None:
        self._files = files
        self._requests = deque(cut(spans, range_bytes))
        self._width = 1 + ahead
        self._open: deque[ArrivingRange] = deque()
        self._signal = StopSignal()
        self._opening = threading.Lock()
        self.request_count = len(self._requests)
        """How many requests the stream takes when none fails, without the one that locates each file."""
        self.bytes_left = sum(request.length for request in self._requests)

    @property
    def buffered_bytes(self) -> int:
        """The most memory that the stream holds beside the caller's buffers, whatever is streamed."""
        return self._width * (HELD_BYTES + CLIENT_BYTES)

    def read_into(self, buffer: memoryview) -> None:
        """Fills the whole buffer with the next bytes.

        Raises EOFError when fewer are left (and reads none), InputError and HubError as RemoteFile does, StreamClosed
        when the stream is or gets closed.
        """
        buffer = buffer.cast("B")
        if len(buffer) > self.bytes_left:
            raise EOFError(f"{len(buffer):,} bytes asked of a stream that has {self.bytes_left:,} left")
        done = 0
        while done < len(buffer):
            taken = self._first().take_into(buffer[done:])
            self._refuse_closed()
            if taken == 0:
                with self._opening:
                    self._open.popleft()
            done += taken
            self.bytes_left -= taken

    def _first(self) -> ArrivingRange:
        with self._opening:
            self._refuse_closed()
            while self._requests and len(self._open) < self._width:
                request = self._requests.popleft()
                self._open.append(ArrivingRange(self._files[request.path], request, self._signal))
            return self._open[0]

    def _refuse_closed(self) -> None:
        if self._signal.is_set():
            raise StreamClosed("The stream of weights was closed while it was being read.")

    def close(self) -> None:
        """Ends every request at once, and a `read_into` that waits with StreamClosed. May be called twice."""
        self._signal.set()
        with self._opening:
            for arriving in self._open:
                arriving.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
