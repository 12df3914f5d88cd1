"""One range of a remote file that a thread receives while another one takes what has come."""

from __future__ import annotations

import threading
from collections import deque

from hf_soup.checkpoints.remote_file import RemoteFile
from hf_soup.checkpoints.spans import Span
from hf_soup.checkpoints.stop_signal import StopSignal

HELD_BYTES = 2**20
"""Bytes that wait to be taken, before no more are read from the connection."""
CLIENT_BYTES = 5 * 65_536
"""What is under way at the same time: the client reads 64 KiB, its parser keeps what it has not handed out, and the
piece that is handed over counts twice. Measured with tracemalloc; the kernel's socket buffers come on top."""
_HANDFUL = 2**18  # bytes worth waking the other thread for


class ArrivingRange:
    """Starts its request at once. Threads are daemons: a connection that hangs does not keep a program alive."""

    def __init__(self, file: RemoteFile, span: Span, signal: StopSignal) -> None:
        self._file = file
        self._span = span
        self._signal = signal
        self._changed = threading.Condition()
        self._pieces: deque[memoryview] = deque()
        self._held = 0
        self._ended = False
        self._failure: BaseException | None = None
        threading.Thread(target=self._receive, name=f"range of {span.path}", daemon=True).start()

    def take_into(self, buffer: memoryview) -> int:
        """Fills the buffer with the next bytes, as many as have come; waits for some; returns 0 at the range's end.

        Returns 0 also when the signal is set. Raises what the request failed with, after the bytes that came before.
        """
        wanted = min(len(buffer), _HANDFUL)
        with self._changed:
            self._changed.wait_for(lambda: self._held >= wanted or self._ended or self._signal.is_set())
            if self._signal.is_set():
                return 0
            taken = self._move_pieces(buffer)
            if self._held <= HELD_BYTES // 2:
                self._changed.notify()
            if taken == 0 and self._failure is not None:
                raise self._failure
            return taken

    def _move_pieces(self, buffer: memoryview) -> int:
        taken = 0
        while self._pieces and taken < len(buffer):
            piece = self._pieces.popleft()
            count = min(len(piece), len(buffer) - taken)
            buffer[taken : taken + count] = piece[:count]
            taken += count
            if count < len(piece):
                self._pieces.appendleft(piece[count:])
        self._held -= taken
        return taken

    def wake(self) -> None:
        """Lets both threads see that the signal is set."""
        with self._changed:
            self._pieces.clear()
            self._changed.notify_all()

    def _receive(self) -> None:
        try:
            for piece in self._file.chunks(self._span.offset, self._span.stop, self._signal):
                with self._changed:
                    self._pieces.append(memoryview(piece))
                    self._held += len(piece)
                    if self._held >= _HANDFUL:
                        self._changed.notify()
                    if self._held >= HELD_BYTES:
                        self._changed.wait_for(lambda: self._held <= HELD_BYTES // 2 or self._signal.is_set())
        except BaseException as failure:  # it belongs to the thread that takes the bytes
            self._failure = failure
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
