"""The request log: what clients asked for, to which origin, with or without a token, and what they got."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

Origin = Literal["hub", "cdn"]


@dataclass(frozen=True)
class Request:
    """One request, as it stood when the log was read. `status` is None while unanswered or when it was dropped."""

    method: str
    path: str  # decoded
    query: str  # without the question mark, as sent
    origin: Origin
    host: str  # the Host header
    range: str | None  # the Range header
    authorized: bool  # whether an Authorization header came with it
    user: str | None
    user_agent: str
    received: int  # bytes of body
    status: int | None
    sent: int  # bytes of body
    fault: bool  # whether an injected fault changed the answer

    def __str__(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.path}{query} -> {self.status} ({self.origin}, {self.sent} bytes)"


@dataclass
class Record:
    """A request while it is being answered. Fields are written before the bytes that they describe go out."""

    method: str
    path: str
    query: str
    origin: Origin
    host: str
    range: str | None
    authorized: bool
    user_agent: str
    user: str | None = None
    received: int = 0
    status: int | None = None
    sent: int = 0
    fault: bool = False


class RequestLog:
    def __init__(self) -> None:
        self._grown = threading.Condition()
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        with self._grown:
            self._records.append(record)
            self._grown.notify_all()

    def wait_for(self, count: int, origin: Origin | None, patience_s: float) -> bool:
        """Whether so many requests (to that origin) have arrived, waiting for them at most so long."""
        with self._grown:
            return self._grown.wait_for(
                lambda: sum(origin in (None, record.origin) for record in self._records) >= count, patience_s
            )

    def read(self) -> list[Request]:
        with self._grown:
            return [Request(**vars(record)) for record in self._records]

    def clear(self) -> None:
        with self._grown:
            self._records.clear()
