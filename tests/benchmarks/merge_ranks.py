"""Two processes under torchrun beside one process with two workers, on the same two cores. Linux.

Run: python tests/benchmarks/merge_ranks.py --models DIR [--cases NAME ...] [--repeat N] [--json FILE]

DIR is as for merge_speed.py. Merging only: every rank measures what passes inside `hf_soup.merging.merge`, after a merge of tiny
models by the same ranks, so neither imports nor the meeting of the processes are in it. Rank 0 alone finishes the folder
(side files, record, fsync) while the others wait; its wait for the disk is subtracted from all of them and from the one
process. The time of two ranks is that of the slower one; their CPU seconds are added and hold what waiting for each other
costs. Figures are the smallest of N repetitions, made in turn, and, in parentheses, the median.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench_models import CASES, WARM_UP_MB, Case, make_models
from measured_table import conditions, load, spread, table, tell
from merge_alone import MergeFigures, merge_alone

CORES = 2


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["linear x3", "ties x3"], metavar="NAME")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=534, help="of a model that has to be made")
    parser.add_argument("--json", type=Path, help="all samples")
    arguments = parser.parse_args(words)
    models = arguments.models.resolve()
    count = max(CASES[name].count for name in arguments.cases)
    make_models(models, count, arguments.megabytes)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # what is started inherits it
    load_before = load()
    runs: dict[str, dict[int, list[list[MergeFigures]]]] = {name: {1: [], CORES: []} for name in arguments.cases}
    with tempfile.TemporaryDirectory(dir=models, prefix="benchmark-") as folder:
        make_models(Path(folder) / "tiny", count, WARM_UP_MB)
        for number in range(1, arguments.repeat + 1):
            for name, by_ranks in runs.items():
                tell(f"{number} of {arguments.repeat}: {name}")
                for ranks, samples in by_ranks.items():
                    samples.append(_measure(CASES[name], models, Path(folder), ranks))
    where = conditions(load_before)
    print(f"{where}. {arguments.repeat} repetitions, smallest (median).\n")
    print(_table(runs))
    if arguments.json:
        cases = {
            name: {
                f"{ranks} ranks": [[asdict(rank) for rank in run] for run in samples]
                for ranks, samples in each.items()
            }
            for name, each in runs.items()
        }
        arguments.json.write_text(json.dumps({"conditions": where, "cases": cases}, indent=1))


def _measure(case: Case, models: Path, work: Path, ranks: int) -> list[MergeFigures]:
    recipe, warm_up = case.write(work / "recipe.yaml", models), case.write(work / "tiny.yaml", work / "tiny")
    found = merge_alone(recipe, work / "out", warm_up, workers=CORES // ranks, ranks=ranks)
    if len(found) != ranks:
        raise SystemExit(f"{ranks} ranks were started, and {len(found)} told what they measured.")
    shutil.rmtree(work / "out")
    shutil.rmtree(work / "out-warm-up")
    return found


def _table(runs: dict[str, dict[int, list[list[MergeFigures]]]]) -> str:
    head = ["merging", "one process s", "two ranks s", "ranks / process", "one process CPU s", "two ranks CPU s"]
    head += ["one process fsync s", "two ranks fsync s"]
    rows = []
    for name, by_ranks in runs.items():
        one, two = ([_merging_s(run) for run in by_ranks[ranks]] for ranks in (1, CORES))
        row = [name, spread(one), spread(two), f"{min(two) / min(one):.2f}"]
        for figure in ("cpu_s", "sync_s"):
            row += [spread(sum(getattr(rank, figure) for rank in run) for run in by_ranks[r]) for r in (1, CORES)]
        rows.append(row)
    return table(head, rows)


def _merging_s(ranks: Sequence[MergeFigures]) -> float:
    return max(rank.merge_s for rank in ranks) - sum(rank.sync_s for rank in ranks)


if __name__ == "__main__":
    main()
