"""How long an ensemble's arithmetic takes, and what it holds: 100,000 rows, 9 members in 3 families, 10 classes.

Run: python tests/benchmarks/ensemble_speed.py [--rows 100000] [--classes 10]
The bounds: weights 2 s, with temperatures 5 s, stacking 15 s, intervals of the weights 60 s, memory above what was there
before 2 × the members' probabilities. One thread; what else the machine does counts, so the load is printed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from measured_table import load

from hf_soup.ensembles import MemberProbabilities, fit_combination
from hf_soup.ensembles.fitting import weight_intervals
from hf_soup.ensembles.splits import cross_validated

FAMILIES = {"large": 2.0, "middle": 1.6, "small": 0.8}


def members(rows: int, classes: int) -> MemberProbabilities:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, rows)
    given: dict[str, list[np.ndarray]] = {}
    for name, skill in FAMILIES.items():
        shared = generator.normal(size=(rows, classes))
        given[name] = []
        for number in range(3):
            logits = 0.7 * shared + 0.7 * generator.normal(size=(rows, classes))
            logits[np.arange(rows), labels] += skill + 0.1 * number
            given[name].append(((1 + number) * logits).astype(np.float32))
    return MemberProbabilities.of(given, labels, logits=True)


def measured(name: str, work: Callable[[], object], arrays_mb: float) -> None:
    """The memory is what was asked for and not given back: a process may keep more, and may have it already."""
    tracemalloc.start()
    start = time.perf_counter()
    work()
    wall_s = time.perf_counter() - start
    held = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    print(f"{name:<46} {wall_s:7.2f} s  {held:7.1f} MB  {held / arrays_mb:5.2f} × the arrays", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=10)
    given = parser.parse_args()
    fit_combination(members(200, given.classes), "stacking")  # imports are over
    data = members(given.rows, given.classes)
    arrays_mb = data.values.nbytes / 1e6
    print(f"{given.rows:,} rows × 9 members × {given.classes} classes: {arrays_mb:.1f} MB; load {load()}")
    for tiers in ("tiered", "flat"):
        for method, temperature in (
            ("learned", "none"),
            ("learned", "family"),
            ("learned", "member"),
            ("caruana", "none"),
            ("per_class", "none"),
            ("stacking", "none"),
        ):
            fit = lambda m=method, t=temperature, s=tiers: fit_combination(data, m, tiers=s, temperature=t)  # noqa: E731
            measured(f"{method}, {tiers}, temperatures: {temperature}", fit, arrays_mb)
        chosen = fit_combination(data, tiers=tiers)
        measured(f"combining, {tiers}", lambda c=chosen: c.combine(data.values), arrays_mb)
        measured(f"intervals of 1,000 resamples, {tiers}", lambda c=chosen: weight_intervals(data, c), arrays_mb)
    measured("five folds, learned", lambda: cross_validated(data, fit_combination), arrays_mb)


if __name__ == "__main__":
    main()
