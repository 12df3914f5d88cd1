"""Injected faults: which requests go wrong, how, and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Drop = Literal[False, True, "response"]


@dataclass
class Fault:
    """A rule made by `Faults.add`; `hits` counts the requests that it has changed so far."""

    path: re.Pattern[str]
    method: str | None
    status: int | None
    drop: Drop
    truncate: int | None
    slow: float | None
    stall: int | None
    reset: int | None
    ignore_range: bool
    headers: dict[str, str]
    times: int | None
    skip: int
    hits: int = field(default=0, init=False)


class Faults:
    """The faults of a hub.

    >>> hub.faults.add(status=503)                                    # the next request, whatever it is
    >>> hub.faults.add(status=503, skip=3)                            # the fourth request from now on
    >>> hub.faults.add("/commit/", "POST", drop="response")           # the commit is made, its answer is lost
    >>> hub.faults.add("/resolve/", "GET", status=429, headers={"Retry-After": "1"}, times=2)
    >>> hub.faults.add(r"safetensors$", truncate=1000, times=None)    # every such body ends after 1000 bytes
    >>> hub.faults.add("^/models/", headers={"Content-Range": "bytes 0-9/10"})     # an answer that says what is not so
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(
        self,
        path: str = ".*",
        method: str | None = None,
        *,
        status: int | None = None,
        drop: Drop = False,
        truncate: int | None = None,
        slow: float | None = None,
        stall: int | None = None,
        reset: int | None = None,
        ignore_range: bool = False,
        headers: dict[str, str] | None = None,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Make requests fail.

        Args:
            path: regular expression, searched in `path?query` (decoded path) on both origins.
            method: GET, HEAD, ...; None is any.
            status: answer with this status (and `headers`) without doing anything.
            drop: True closes the connection without doing anything; "response" does the work, then closes the
                connection without answering.
            truncate: send only so many bytes of the body, then close the connection.
            slow: send the body at so many bytes a second.
            stall: send only so many bytes of the body, then nothing more, with the connection open.
            reset: send only so many bytes of the body, then reset the connection (RST).
            ignore_range: answer with the whole file and status 200, whatever range is asked for.
            headers: with `status`, headers of that answer; alone, they take the place of the ordinary answer's.
            times: how many requests to change; None is all.
            skip: how many matching requests to let pass first.
        """
        ways = (status, drop, truncate, slow, stall, reset, ignore_range)
        chosen = sum(way is not None and way is not False for way in ways)
        if chosen > 1 or (chosen == 0 and not headers):
            raise ValueError(
                "Give exactly one of status, drop, truncate, slow, stall, reset and ignore_range, or headers alone."
            )
        fault = Fault(
            re.compile(path),
            method,
            status,
            drop,
            truncate,
            slow,
            stall,
            reset,
            ignore_range,
            dict(headers or {}),
            times,
            skip,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, query: str) -> Fault | None:
        """The first fault that wants this request; counts it."""
        target = f"{path}?{query}" if query else path
        with self._lock:
            for fault in self._faults:
                if fault.method not in (None, method) or not fault.path.search(target):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times is None or fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None
