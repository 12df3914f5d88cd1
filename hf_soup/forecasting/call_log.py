"""calls.jsonl, the truth of a run: every exchange, on the disk before it counts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.call import Call

_PRIVATE = 0o600


@dataclass(frozen=True)
class Logged:
    """Where the last call of a key stands, and the dollars and requests of those before it, which failed."""

    offset: int
    size: int
    cost_before: float
    attempts: int


class CallLog:
    """Append-only; belongs to one process (see `RunFolder`) and, while calls are appended, to one event loop.

    Opening it cuts off a partial last line, which a killed process leaves; `repaired` says whether there was one. In memory
    stands an entry of some bytes for each call, never its text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repaired = False
        self.spent = 0.0
        self._entries: dict[str, Logged] = {}
        self._waiting: list[tuple[bytes, Call, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._broken: SoupError | None = None
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE))
        path.chmod(_PRIVATE)
        # Two handles: the writer is used in a thread, while the reader seeks.
        with ExitStack() as opened:
            self._reader = opened.enter_context(path.open("rb"))
            self._writer = opened.enter_context(path.open("r+b", buffering=0))
            self._size = self._scan()
            opened.pop_all()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def find(self, key: str) -> Call | None:
        """Returns the last call with this key; its `cost` includes that of the failed ones before it."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._reader.seek(entry.offset)
        call = Call.model_validate_json(self._reader.read(entry.size))
        return call.model_copy(update={"cost": (call.cost or 0.0) + entry.cost_before}) if entry.cost_before else call

    def attempts(self, key: str) -> int:
        """Returns how many requests the logged calls with this key took."""
        entry = self._entries.get(key)
        return entry.attempts if entry else 0

    def read(self) -> Iterator[Call]:
        """All calls, in the order in which they were answered."""
        with self.path.open("rb") as lines:
            for line in lines:
                yield Call.model_validate_json(line)

    async def append(self, call: Call) -> None:
        """Returns when the call is on the disk. Calls that come while the disk is busy are written together, with one fsync.

        Raises SoupError where the disk does not take it; from then on for every call.
        """
        if self._broken:
            raise self._broken
        on_disk: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((call.model_dump_json().encode() + b"\n", call, on_disk))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(on_disk)  # whoever is cancelled here leaves the answer on its way to the disk

    async def flush(self) -> None:
        """Returns when nothing is on its way to the disk any more."""
        if self._flushing is not None:
            await self._flushing

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    async def _flush(self) -> None:
        while self._waiting and self._broken is None:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._write, b"".join(line for line, _, _ in batch))
            except OSError as error:
                self._broken = SoupError(
                    f"{self.path}: {error.strerror or error}. The {len(self)} calls before are safe; what came after is lost "
                    "and counts at its worst case. Make room, and run the same command again."
                )
                self._waiting = batch + self._waiting
                break
            for line, call, on_disk in batch:
                self._enter(call.key, call.cost, call.attempts, self._size, len(line))
                self._size += len(line)
                if not on_disk.done():
                    on_disk.set_result(None)
        if self._broken:
            for _, _, on_disk in self._waiting:
                if not on_disk.done():
                    on_disk.set_exception(self._broken)
                    on_disk.exception()  # its waiter may be gone
            self._waiting = []

    def _write(self, content: bytes) -> None:
        self._writer.seek(self._size)
        while content:
            content = content[self._writer.write(content) :]
        os.fsync(self._writer.fileno())

    def _enter(self, key: str, cost: float | None, attempts: int, offset: int, size: int) -> None:
        self.spent += cost or 0.0
        before = self._entries.get(key)
        if before is None:
            self._entries[key] = Logged(offset, size, 0.0, attempts)
            return
        earlier = self.find(key)
        cost_before = (earlier.cost or 0.0) if earlier else 0.0
        self._entries[key] = Logged(offset, size, cost_before, before.attempts + attempts)

    def _scan(self) -> int:
        """Enters what is there; returns where the next line goes."""
        offset = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    self._writer.truncate(offset)
                    self.repaired = True
                    break
                try:
                    call = Call.model_validate_json(line)
                except ValidationError as error:
                    raise InputError(_damaged(self.path, number, line, error)) from error
                self._enter(call.key, call.cost, call.attempts, offset, len(line))
                offset += len(line)
        return offset


def _damaged(path: Path, number: int, line: bytes, error: ValidationError) -> str:
    try:
        json.loads(line)
    except ValueError:
        return f"{path}: line {number} is not JSON. Remove this line; its call is asked again."
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return (
        f"{path}: line {number} is no call of this version ({where}: {first['msg']}). Use the version that wrote it."
    )
