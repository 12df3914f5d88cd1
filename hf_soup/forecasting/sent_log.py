"""sent.jsonl: requests that went out. After a kill it tells which may have cost something without an answer in calls.jsonl."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from hf_soup.errors import SoupError
from hf_soup.forecasting.call_log import CallLog


class SentLog:
    """A line for each request, before it is sent: the call's key and its worst case in dollars. Written without fsync: the
    system keeps it when the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        path.chmod(0o600)
        if path.stat().st_size:
            os.lseek(self._file, -1, os.SEEK_END)
            if os.read(self._file, 1) != b"\n":
                os.write(self._file, b"\n")

    def add(self, key: str, worst: float) -> None:
        """Raises SoupError where the disk is full; the request must not be sent then."""
        line = json.dumps([key, worst]).encode() + b"\n"
        try:
            complete = os.write(self._file, line) == len(line)
        except OSError as error:
            raise SoupError(
                f"{self.path}: {error.strerror or error}. Make room, and run the same command again."
            ) from error
        if not complete:
            raise SoupError(f"{self.path}: the disk is full. Make room, and run the same command again.")

    def lost(self, calls: CallLog) -> float:
        """Returns the worst case in dollars of all requests that no logged call accounts for."""
        worst: dict[str, list[float]] = {}
        for key, cost in self._read():
            worst.setdefault(key, []).append(cost)
        return sum(sum(costs[calls.attempts(key) :]) for key, costs in worst.items())

    def close(self) -> None:
        os.close(self._file)

    def _read(self) -> Iterator[tuple[str, float]]:
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    key, worst = json.loads(line)
                except ValueError:  # the last line of a process that was killed or of a full disk: it was not sent
                    continue
                yield key, worst
