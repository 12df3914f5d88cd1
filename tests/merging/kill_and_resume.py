"""A program that kills merges at chosen moments and goes on with them. Prints one JSON line per kill.

usage: kill_and_resume.py METHOD KILLS SEED OUT BASE|- MODEL...

The merge runs in a forked child, so that 50 of them need one import of torch; the parent watches the journal grow and
sends SIGKILL. Then a second child goes on, and says how much of the journal it took over.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import torch

from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.merging.journal import read_journal
from hf_soup.merging.portions import portions_of

torch.set_num_threads(1)
method, kills, seed, out, base, *models = sys.argv[1:]
target = Path(out)
partial = target.with_name(target.name + ".partial")
plan = make_plan(open_ingredients(models, None if base == "-" else base), method, workers=2)
plan.raise_problems()
nbytes = {portion.index: portion.nbytes for portion in portions_of(plan)}
chance = random.Random(int(seed))


def child(report: int | None = None) -> int:
    """Merges in a new process; `report`: where to write how many bytes were there already."""
    pid = os.fork()
    if pid:
        return pid
    told: list[int] = []
    try:
        merge(plan, target, progress=told.append)
        if report is not None:
            os.write(report, json.dumps(told[0]).encode())
    finally:
        os._exit(0)


def journal_bytes() -> int:
    return sum(path.stat().st_size for path in partial.glob(".journal-*")) if partial.exists() else 0


whole = sum(12 + 8 * len(list(portion.granules())) for portion in portions_of(plan))  # bytes of a complete journal
for _ in range(int(kills)):
    shutil.rmtree(target, ignore_errors=True)
    aim = chance.uniform(0.03, 0.9) * whole
    pid = child()
    while journal_bytes() < aim and os.waitpid(pid, os.WNOHANG) == (0, 0):
        pass
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    finished = {} if not partial.exists() else read_journal(partial / ".journal-0")
    complete_at_kill = target.exists()
    receiver, sender = os.pipe()
    pid = child(sender)
    os.close(sender)
    os.waitpid(pid, 0)
    taken_over = os.read(receiver, 100)
    os.close(receiver)
    row = {
        "portions": len(nbytes),
        "finished": len(finished),
        "finished_bytes": sum(nbytes[index] for index in finished),
        "complete_at_kill": complete_at_kill,
        "taken_over_bytes": int(taken_over) if taken_over else None,
        "left": sorted(path.name for path in target.iterdir()),
        "partial": partial.exists(),
        "weights": hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest(),
    }
    print(json.dumps(row), flush=True)
