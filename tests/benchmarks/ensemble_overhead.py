"""What an ensemble costs beside its members' own forward passes, in time and in memory, and what an early exit saves.

    python tests/benchmarks/ensemble_overhead.py            # ten minutes on one busy core

Three classifiers of MiniLM's size, and three of 2, 6 and 12 layers, on 1,000 texts of 20 tokens on average (`ensemble_models.py`).
The bare loop beside it is the least that any program does: texts tokenised once, longest first, in batches of 64 padded by the
tokenizer, one model after another, softmax and weighted mean. `Ensemble.predict` makes the same batches. Both run in this process, in turns;
the limits are for the smallest processor time of each, since on a machine with other work the clock measures that work
too; the clock's figures stand beside them. One torch thread. Imports, opening and loading are reported apart.

Memory is what a process holds at most beyond what it held with everything imported and nothing loaded, in a process for each
line, sampled every 10 ms. Prints what was measured beside what it must not exceed, and ends with code 1 where something does.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ensemble_models import ALIKE, BATCH, DIFFERENT, LABELS, TINY, make_models, opened, texts
from measured_process import ONE_THREAD, MemoryWatch, memory_of
from measured_table import conditions, load, table, tell

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles.combination import Combination

OVERHEAD = 0.05
SLACK_MB = 24.0
"""What may be held beside the largest model and the arrays: rows and Python's objects."""
NOTHING_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
"""glibc gives freed tensors back at once, in all lines alike. Otherwise it keeps some, more or less from run to run (seen: 90 MB more than
here with one model in memory), and the figures would be about that and not about what the program holds."""
MEMORY_ROWS = 300
"""For memory few rows will do: what is held for a batch does not grow with their number, and the arrays are counted."""

IMPORTS = """import time; start = time.perf_counter(); import hf_soup.ensembles.voting, transformers, torch, accelerate
from transformers import AutoTokenizer, BertForSequenceClassification; print(time.perf_counter() - start)"""


def ensemble_of(folders: Mapping[str, Path], **options: Any) -> Ensemble:
    """Of one family, all members counting the same."""
    ensemble = Ensemble({"minilm": dict(folders)}, **options)
    weights = {name: 1 / len(folders) for name in folders}
    ensemble.combination = Combination("equal", "flat", "mean", {"minilm": tuple(folders)}, LABELS, weights)
    return ensemble


class BareLoop:
    """Tokenizer, models and nothing else. `forward_s`: processor time of the last run within the models."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.members = [opened(folder) for folder in folders]
        self.forward_s = 0.0

    def __call__(self, given: Sequence[str]) -> np.ndarray:
        """float64 [texts, classes]."""
        import torch

        self.forward_s = 0.0
        said = np.empty((len(self.members), len(given), len(LABELS)))
        with torch.inference_mode():
            features = self.members[0][0](list(given), truncation=True)
            order = sorted(range(len(given)), key=lambda row: -len(features["input_ids"][row]))
            for place, (tokenizer, model) in enumerate(self.members):
                for start in range(0, len(order), BATCH):
                    rows = order[start : start + BATCH]
                    batch = {name: [values[row] for row in rows] for name, values in features.items()}
                    inputs = tokenizer.pad(batch, return_tensors="pt")
                    began = time.process_time()
                    logits = model(**inputs).logits
                    self.forward_s += time.process_time() - began
                    said[place, rows] = torch.softmax(logits.double(), dim=-1).numpy()
        return said.mean(axis=0)


@dataclass(frozen=True)
class Took:
    cpu_s: float
    wall_s: float
    result: Any


def timed(work: Callable[[], Any]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Took(time.process_time() - cpu, time.perf_counter() - wall, result)


def overhead(name: str, folders: Mapping[str, Path], given: Sequence[str], rounds: int) -> tuple[list[str], bool]:
    """Returns (a line of the table, whether it is within the limit)."""
    ensemble, bare = ensemble_of(folders), BareLoop(list(folders.values()))
    ready = timed(lambda: ensemble.predict(list(given[:2])))  # opens and loads the members
    bare(given[:2])
    ours, theirs, forward = [], [], []
    for number in range(rounds):
        works = [(ours, lambda: ensemble.predict(list(given)).probabilities), (theirs, lambda: bare(given))]
        for kept, work in works if number % 2 else works[::-1]:
            kept.append(timed(work))
        forward.append(bare.forward_s)
        np.testing.assert_allclose(ours[-1].result, theirs[-1].result, atol=1e-5)
        tell(f"{name}: {ours[-1].cpu_s:.2f} s, bare {theirs[-1].cpu_s:.2f} s, in the models {forward[-1]:.2f} s")
    ours_s, bare_s = (min(each.cpu_s for each in kept) for kept in (ours, theirs))
    walls = [min(each.wall_s for each in kept) for kept in (ours, theirs)]
    found = ours_s / bare_s - 1
    line = [
        name,
        f"{min(forward):.2f} s",
        f"{bare_s:.2f} s",
        f"{ours_s:.2f} s",
        f"{found:+.1%}",
        f"{OVERHEAD:.0%}",
        f"{ours_s / min(forward) - 1:+.1%}",
        f"{walls[1]:.1f} s",
        f"{walls[0]:.1f} s",
        f"{ready.wall_s:.2f} s",
    ]
    return line, found <= OVERHEAD


def early_exit(name: str, folders: Mapping[str, Path], given: Sequence[str], rows: HeldOut) -> list[str]:
    """Returns a line of the table: of an ensemble that is fitted on `rows`. The decisions must be the same."""
    ensemble = Ensemble({"minilm": dict(folders)}).fit(rows, tiers="flat", temperature="none")
    ensemble.predict(list(given[:2]))
    early = timed(lambda: ensemble.predict(list(given), early_exit=True))
    whole = timed(lambda: ensemble.predict(list(given)))
    assert early.result.labels == whole.result.labels
    saved = 1 - early.result.forward_passes / whole.result.forward_passes
    weights = ", ".join(f"{weight:.2f}" for weight in ensemble.weights.values())
    times = [f"{each:.2f} s" for each in (whole.cpu_s, early.cpu_s, whole.wall_s, early.wall_s)]
    return [
        f"{name} ({weights})",
        f"{whole.result.forward_passes}",
        f"{early.result.forward_passes}",
        f"{saved:.0%}",
        *times,
    ]


def held(folders: Mapping[str, Path], memory: int | None, tiny: Path) -> float:
    """MB above what this process holds with everything imported, while the rows are predicted once. `memory` None: the bare loop."""
    given, _ = texts(MEMORY_ROWS, 2)
    ensemble_of({"tiny": tiny}).predict(given)
    BareLoop([tiny])(given)
    before = memory_of()
    assert before is not None
    with MemoryWatch() as watch:
        if memory is None:
            BareLoop(list(folders.values()))(given)
        else:
            ensemble_of(folders, memory=memory).predict(given)
    return watch.peak.resident - before.resident


def held_elsewhere(folders: Mapping[str, Path], memory: int | None, tiny: Path) -> float:
    asked = json.dumps(
        {"folders": {name: str(path) for name, path in folders.items()}, "memory": memory, "tiny": str(tiny)}
    )
    command = [sys.executable, __file__, "--held", asked]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD | NOTHING_KEPT
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed:\n{done.stderr[-2000:]}")
    return float(done.stdout)


def memory_lines(name: str, folders: Mapping[str, Path], tiny: Path) -> tuple[list[list[str]], bool]:
    """Returns (lines of the table, whether all are within their limits)."""
    members = ensemble_of(folders).opened().members
    sizes = {member.name: member.bytes / 1e6 for member in members}
    largest = max(sizes, key=lambda each: sizes[each])
    # Ballots and a copy of them in float32, the prediction and what it is summed up from in float64.
    arrays = MEMORY_ROWS * len(LABELS) * (2 * 4 * len(folders) + 4 * 8) / 1e6
    alone = held_elsewhere({largest: folders[largest]}, None, tiny)
    beside = alone - sizes[largest] + arrays + SLACK_MB
    budget = round(1e6 * (sizes[largest] + min(sizes.values())))
    lines = [[f"{name}: the largest alone, bare loop", f"{sizes[largest]:.0f} MB", f"{alone:.0f} MB", ""]]
    one, limit = held_elsewhere(folders, 0, tiny), sizes[largest] + beside
    lines.append([f"{name}: one at a time", f"{sizes[largest]:.0f} MB", f"{one:.0f} MB", f"{limit:.0f} MB"])
    tell(f"{lines[-1]}")
    # A budget is about weights: beside them each model has its own tokenizer. For comparison, without a limit.
    for title, memory, weights in (
        ("within the bytes of two", budget, budget / 1e6),
        ("all together", 2**31, sum(sizes.values())),
    ):
        found = held_elsewhere(folders, memory, tiny)
        lines.append([f"{name}: {title}", f"{weights:.0f} MB", f"{found:.0f} MB", ""])
        tell(f"{lines[-1]}")
    return lines, one <= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, help="folder in which the models are kept; a temporary one without")
    parser.add_argument("--only", choices=("time", "memory", "exit"))
    parser.add_argument("--held", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.held:
        given = json.loads(asked.held)
        folders = {name: Path(path) for name, path in given["folders"].items()}
        print(held(folders, given["memory"], Path(given["tiny"])))
        return 0
    before = load()
    with tempfile.TemporaryDirectory() as temporary:
        return measure(asked.models or Path(temporary), asked.rows, asked.rounds, asked.only, before)


def measure(root: Path, count: int, rounds: int, only: str | None, before: str) -> int:
    imports = float(subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout)
    made = make_models(root, (*ALIKE, *DIFFERENT, TINY))
    sets = {"three alike": ALIKE, "2, 6 and 12 layers": DIFFERENT}
    folders = {name: {kind.name: made[kind.name] for kind in kinds} for name, kinds in sets.items()}
    given, _ = texts(count, 1)
    within, said = [], []
    if only in (None, "time"):
        lines = []
        for name, each in folders.items():
            line, good = overhead(name, each, given, rounds)
            lines.append(line)
            within.append(good)
        said.append(
            table(
                [
                    "overhead",
                    "in the models",
                    "bare loop",
                    "predict",
                    "more",
                    "at most",
                    "more than in the models",
                    "clock, bare",
                    "clock, predict",
                    "opening and loading, clock",
                ],
                lines,
            )
        )
    if only in (None, "memory"):
        lines = []
        for name, each in folders.items():
            more, good = memory_lines(name, each, made[TINY.name])
            lines += more
            within.append(good)
        said.append(table([f"memory, {MEMORY_ROWS} rows", "weights", "held", "at most"], lines))
    if only in (None, "exit"):
        fit_texts, labels = texts(200, 3)
        rows = HeldOut(
            [{"text": text, "label": LABELS[label]} for text, label in zip(fit_texts, labels, strict=True)],
            "text-classification",
        )
        lines = [early_exit(name, each, given, rows) for name, each in folders.items()]
        said.append(
            table(
                [
                    "early exit, weights fitted on 200 rows",
                    "passes",
                    "with early exit",
                    "saved",
                    "predict",
                    "with early exit",
                    "clock",
                    "with early exit",
                ],
                lines,
            )
        )
    print(conditions(before))
    print(f"{count} texts; imports {imports:.1f} s by the clock, which are in no other figure.")
    print("", *said, sep="\n\n")
    return int(not all(within))


if __name__ == "__main__":
    sys.exit(main())
