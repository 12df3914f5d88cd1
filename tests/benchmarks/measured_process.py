"""A program's time and memory as its parent sees them, and the programs that set the limit of a merge.

Linux only: memory is read from /proc. Megabytes are 10⁶ bytes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_PERIOD_S = 0.01

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""torch's own threads spin while they wait, and on few cores they would measure the waiting."""


@dataclass(frozen=True)
class Memory:
    """In MB. `anonymous`: what a process cannot give back; `file`: pages of mapped files; `resident`: both, shared memory too."""

    anonymous: float = 0.0
    file: float = 0.0
    resident: float = 0.0


class MemoryWatch:
    """Samples the memory of a process every 10 ms while the block runs; `peak` is the largest of each figure.

    `pid` None is this process, in which the watching costs about 0.5 % of a core.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = Memory()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while (now := memory_of(self._pid)) is not None:
            before = self.peak
            self.peak = Memory(
                max(before.anonymous, now.anonymous), max(before.file, now.file), max(before.resident, now.resident)
            )
            if self._over.wait(_PERIOD_S):
                return


def memory_of(pid: int | None = None) -> Memory | None:
    """Returns what a process, or this one, holds now; None once it has ended."""
    try:
        lines = Path(f"/proc/{'self' if pid is None else pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("Rss", "VmRSS")))
    if not fields:  # ended, and not yet waited for
        return None
    return Memory(*(int(fields[name].split()[0]) * 1024 / 1e6 for name in ("RssAnon", "RssFile", "VmRSS")))


@dataclass(frozen=True)
class Measured:
    """`cpu_s`: user and system time of the program and of the programs it waited for."""

    wall_s: float
    cpu_s: float
    peak: Memory
    output: str


def run_measured(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Measured:
    """Runs a program to its end. `environment` is added to this process's; the output is what it printed.

    Data that earlier programs left to be written goes to the disk first, so that this one is not slowed down by it. Ends
    this program with the other's last words when it fails.
    """
    os.sync()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=err, env={**os.environ, **(environment or {})}
        )
        with MemoryWatch(process.pid) as watch:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, said = out.read(), err.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\nfailed with {process.returncode}:\n{said[-2000:]}")
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, watch.peak, output)


@dataclass(frozen=True)
class Limit:
    """`wall_s`, `cpu_s`: of reading and copying. `sync_s`: of bringing the copy to the disk afterwards."""

    wall_s: float
    cpu_s: float
    sync_s: float


def measure_limit(inputs: Sequence[Path], copy: Path) -> Limit:
    """Reads the inputs with `cat` and copies the first one with `cp`: what every merge does at least.

    The inputs are read once before, so that they come from memory. Removes the copy.
    """
    read = ["cat", *map(str, inputs)]
    subprocess.run(read, stdout=subprocess.DEVNULL, check=True)
    os.sync()
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(read, stdout=subprocess.DEVNULL, check=True)
    # A file system that can share the blocks of two files would copy nothing.
    subprocess.run(["cp", "--reflink=never", inputs[0], copy], check=True)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    descriptor = os.open(copy, os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)
    sync_s = time.perf_counter() - start
    copy.unlink()
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Limit(wall_s, cpu_s, sync_s)
