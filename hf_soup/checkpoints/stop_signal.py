"""Ends work on the network from another thread: what waits is woken, what reads loses its socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class StopSignal:
    """Set once, by any thread. A thread that reads under `interrupting` is woken by the end of its connection."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def set(self) -> None:
        with self._lock:
            self._event.set()
            for open_socket in self._sockets:
                _shut_down(open_socket)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Returns True as soon as the signal is set, False after so many seconds."""
        return self._event.wait(seconds)

    @contextmanager
    def interrupting(self, response: Any) -> Iterator[None]:
        """While the block reads the body of this httpx or httpx2 response, the signal shuts down its socket.

        Where a transport shows no socket (one that a user has put in), the read ends with its timeout instead.
        """
        stream = response.extensions.get("network_stream")
        found = stream.get_extra_info("socket") if stream is not None else None
        if not isinstance(found, socket.socket):
            yield
            return
        with self._lock:
            self._sockets.append(found)
            if self._event.is_set():
                _shut_down(found)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.remove(found)


def _shut_down(open_socket: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        open_socket.shutdown(socket.SHUT_RDWR)
