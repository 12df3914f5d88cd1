"""How the cost of a uniform soup grows with the number of models and with their size. Linux.

Run: python tests/benchmarks/merge_growth.py --models DIR [--megabytes 120] [--repeat N] [--json FILE]

Merges 2, 4, 8 and 16 models of one size, and 4 models of a quarter, half, once and twice that size; DIR gets those that it does
not hold yet (3.5 GB for the default). Every figure is the smallest of N repetitions, made in turn, and, in
parentheses, the median. Wall time is of planning and merging without imports and without the wait for the disk at the end;
the limit is `cat` of all inputs and `cp` of one, from a warm cache.

Twice as many bytes may take 2.2 times as long, in wall time and in CPU time: 16 models beside 8, and the largest models beside
those of about half their size. Anonymous memory must be flat: 16 MB more at most between any two rows. Ends with exit code 1 where
this does not hold; on a busy machine wall time may fail without a reason in the program.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench_models import CASES, WARM_UP_MB, Case, make_models, weights_of
from measured_process import Limit, measure_limit
from measured_table import conditions, load, spread, table, tell
from merge_alone import MergeFigures, merge_alone

COUNTS = (2, 4, 8, 16)
SIZES = (0.25, 0.5, 1, 2)
"""Times the size."""
MODELS_OF_SIZES = 4
ALLOWED = 1.1
"""How much faster than the bytes to be read the cost may grow."""
FLAT_MB = 16.0


@dataclass
class Row:
    count: int
    models: Path
    limit: list[Limit] = field(default_factory=list)
    merges: list[MergeFigures] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.count} models of {self.merges[0].bytes_to_write / 1e6:.0f} MB"

    @property
    def wall_s(self) -> float:
        return min(run.wall_s for run in self.merges)

    @property
    def cpu_s(self) -> float:
        return min(run.cpu_s for run in self.merges)

    @property
    def above_mb(self) -> float:
        return min(run.above_mb for run in self.merges)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--megabytes", type=int, default=120)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path, help="all samples")
    arguments = parser.parse_args(words)
    root = arguments.models.resolve()

    def row(count: int, megabytes: int) -> Row:
        models = root / f"{megabytes}-MB"
        make_models(models, count, megabytes)
        return Row(count, models)

    by_count = [row(count, arguments.megabytes) for count in COUNTS]
    by_size = [row(MODELS_OF_SIZES, max(1, round(size * arguments.megabytes))) for size in SIZES]
    load_before = load()
    with tempfile.TemporaryDirectory(dir=root, prefix="benchmark-") as folder:
        make_models(Path(folder) / "tiny", max(COUNTS), WARM_UP_MB)
        for number in range(1, arguments.repeat + 1):
            tell(f"{number} of {arguments.repeat}")
            for each in (*by_count, *by_size):
                _measure(each, Path(folder))
    where = conditions(load_before)
    print(f"{where}. {arguments.repeat} repetitions, smallest (median).\n")
    print(_table(by_count))
    print()
    print(_table(by_size))
    if arguments.json:
        samples = [{**asdict(each), "models": each.models.name} for each in (*by_count, *by_size)]
        arguments.json.write_text(json.dumps({"conditions": where, "rows": samples}, indent=1))
    problems = [*_problems(by_count), *_problems(by_size)]
    print("\n" + ("\n".join(problems) or "Growth and memory are as promised."))
    sys.exit(1 if problems else 0)


def _measure(row: Row, work: Path) -> None:
    case = Case("linear", row.count, each=CASES["linear x3"].each)
    recipe, warm_up = case.write(work / "recipe.yaml", row.models), case.write(work / "tiny.yaml", work / "tiny")
    row.limit.append(measure_limit(weights_of(case.sources(row.models)), work / "copy"))
    row.merges += merge_alone(recipe, work / "out", warm_up)
    shutil.rmtree(work / "out")
    shutil.rmtree(work / "out-warm-up")


def _table(rows: Sequence[Row]) -> str:
    head = ["linear", "limit s", "hf-soup s", "of the limit", "CPU s", "fsync s", "anonymous MB above imports"]
    lines = []
    for row in rows:
        limit = [run.wall_s for run in row.limit]
        line = [row.name, spread(limit), spread(run.wall_s for run in row.merges)]
        line += [f"{row.wall_s / min(limit):.2f}", spread(run.cpu_s for run in row.merges)]
        line += [spread(run.sync_s for run in row.merges), spread((run.above_mb for run in row.merges), 0)]
        lines.append(line)
    return table(head, lines)


def _problems(rows: Sequence[Row]) -> Iterator[str]:
    half, whole = rows[-2:]
    allowed = ALLOWED * whole.merges[0].bytes_to_read / half.merges[0].bytes_to_read
    for what, before, after in (("wall time", half.wall_s, whole.wall_s), ("CPU time", half.cpu_s, whole.cpu_s)):
        if after > allowed * before:
            yield f"{whole.name}: {after / before:.2f} times the {what} of {half.name}; {allowed:.2f} are allowed."
    least, most = min(row.above_mb for row in rows), max(row.above_mb for row in rows)
    if most - least > FLAT_MB:
        yield f"Anonymous memory above imports goes from {least:.0f} to {most:.0f} MB; {FLAT_MB:.0f} MB more are allowed."


if __name__ == "__main__":
    main()
