"""One merge in a process of its own, measured from inside: what it costs without imports, command line, probe and card.

Run: python tests/benchmarks/merge_alone.py RECIPE OUT --warm-up RECIPE [--workers N] [--stream]
A merge of tiny models by the recipe of --warm-up comes first, so that everything is imported. Prints one line of JSON, see
`MergeFigures`; under torchrun every rank prints its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from measured_process import ONE_THREAD, MemoryWatch, memory_of, run_measured

if TYPE_CHECKING:
    from _typeshed import HasFileno


@dataclass(frozen=True)
class MergeFigures:
    """Of one rank. `cpu_s`: of planning and merging, all threads. Memory in MB, its peaks in that time.

    `sync_s`: of `merge_s`, how long the rank waited in fsync. `imports_mb`: anonymous memory before, which includes what
    the warm-up left behind (a few blocks at most); `above_mb`: how much more it became. `requests`: as planned, of streams.
    """

    rank: int
    plan_s: float
    merge_s: float
    sync_s: float
    cpu_s: float
    imports_mb: float
    above_mb: float
    file_mb: float
    resident_mb: float
    bytes_to_read: int
    bytes_to_write: int
    requests: int

    @property
    def wall_s(self) -> float:
        """Of planning and merging, without fsync: what compares with `cat` and `cp`, which do not wait for the disk."""
        return self.plan_s + self.merge_s - self.sync_s


def merge_alone(
    recipe: Path,
    out: Path,
    warm_up: Path,
    *,
    workers: int | None = None,
    stream: bool = False,
    ranks: int = 1,
    environment: Mapping[str, str] | None = None,
) -> list[MergeFigures]:
    """Runs this file as a program and returns what each rank measured, in their order."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}"] if ranks > 1 else []
    options: list[str | Path] = ["--warm-up", warm_up]
    options += ["--workers", str(workers)] if workers else []
    options += ["--stream"] if stream else []
    done = run_measured(
        [sys.executable, *launcher, __file__, recipe, out, *options], {**ONE_THREAD, **(environment or {})}
    )
    lines = [line for line in done.output.splitlines() if line.startswith("{")]
    return sorted((MergeFigures(**json.loads(line)) for line in lines), key=lambda figures: figures.rank)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--warm-up", type=Path, required=True)
    parser.add_argument("--workers", type=int, help="of this process; as many as a merge takes without")
    parser.add_argument("--stream", action="store_true")
    arguments = parser.parse_args(words)

    from hf_soup import Soup
    from hf_soup.merging import Plan, merge
    from hf_soup.merging.read_request import read_request
    from hf_soup.ranks import rank

    def plan_of(recipe: Path, out: Path) -> Plan:
        request = read_request(recipe)
        soup = Soup(**request.soup_arguments, stream=arguments.stream)
        plan = soup.plan(**request.plan_arguments, device="cpu", out=out)
        return replace(plan, workers=arguments.workers) if arguments.workers else plan

    tiny = arguments.out.with_name(f"{arguments.out.name}-warm-up")
    merge(plan_of(arguments.warm_up, tiny), tiny)
    syncs = _times_of_fsync()
    before = memory_of()
    assert before is not None
    with MemoryWatch() as watch:
        start, cpu = time.perf_counter(), time.process_time()
        plan = plan_of(arguments.recipe, arguments.out)
        planned = time.perf_counter()
        merge(plan, arguments.out)
        merged, spent = time.perf_counter(), time.process_time() - cpu
    figures = MergeFigures(
        rank=rank(),
        plan_s=planned - start,
        merge_s=merged - planned,
        sync_s=sum(syncs),
        cpu_s=spent,
        imports_mb=before.anonymous,
        above_mb=watch.peak.anonymous - before.anonymous,
        file_mb=watch.peak.file,
        resident_mb=watch.peak.resident,
        bytes_to_read=plan.bytes_to_read,
        bytes_to_write=plan.bytes_to_write,
        requests=plan.requests,
    )
    print(json.dumps(asdict(figures)), flush=True)


def _times_of_fsync() -> list[float]:
    """Returns a list to which every os.fsync of this process adds its seconds from now on."""
    seconds: list[float] = []
    fsync = os.fsync

    def timed(fd: int | HasFileno) -> None:
        start = time.perf_counter()
        fsync(fd)
        seconds.append(time.perf_counter() - start)

    os.fsync = timed
    return seconds


if __name__ == "__main__":
    main()
