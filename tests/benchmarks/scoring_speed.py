"""Time and memory of aggregating and scoring 10,000 questions × 20 members × 5 samples, and of reading a million forecasts.

    python tests/benchmarks/scoring_speed.py            # a minute

Prints what was measured beside what it must not exceed, and ends with code 1 where something does. Imports are not counted. Memory
is what the process holds beyond the table itself, sampled while the closed forms and the scores run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from measured_process import MemoryWatch, memory_of
from measured_table import conditions, load, table
from pyarrow import csv, parquet

from hf_soup.scoring.aggregators.aggregator import Kind, aggregate_all, all_aggregators
from hf_soup.scoring.blending import blending
from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.calibration import calibrate
from hf_soup.scoring.comparing import comparing
from hf_soup.scoring.read_forecasts import read_forecasts
from hf_soup.scoring.scores_table import score_table
from hf_soup.scoring.table import ForecastTable

QUESTIONS, MEMBERS, SAMPLES, COLUMNS = 10_000, 20, 5, 35
CLOSED_S, CLOSED_MB, FITTED_S, BOOTSTRAP_S, READING_S = 4.0, 500.0, 20.0, 3.0, 5.0


def crowd(gaps: float) -> ForecastTable:
    """`gaps`: share of the forecasts that are missing."""
    generator = np.random.default_rng(0)
    truth = generator.beta(1, 1, QUESTIONS)
    outcomes = (generator.random(QUESTIONS) < truth).astype(float)
    said = truth[:, None, None] + 0.2 * generator.standard_normal((QUESTIONS, MEMBERS, SAMPLES))
    values = np.where(generator.random(said.shape) < gaps, np.nan, np.clip(said, 0, 1))
    times = np.broadcast_to(np.arange(MEMBERS, dtype=float)[:, None], values.shape).copy()
    return ForecastTable.of(values, outcomes, crowd=truth, times=times)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def main() -> int:
    before = load()
    given = crowd(gaps=0.1)
    warm_up(given)
    rows: list[tuple[str, float, float, str]] = []
    at_rest = memory_of(None)
    with MemoryWatch() as watch:
        seconds, found = timed(lambda: aggregate_all(given, kinds=(Kind.CLOSED_FORM,)).found)
        scored, _ = timed(lambda: score_table(given, {name: each.values for name, each in found.items()}))
    extra = watch.peak.anonymous - (at_rest.anonymous if at_rest else 0.0)
    rows.append((f"{len(found)} closed aggregators", seconds, CLOSED_S, "s"))
    rows.append((f"… and all scores of {len(found) + MEMBERS + 1} columns", seconds + scored, CLOSED_S, "s"))
    rows.append(("memory of both", extra, CLOSED_MB, "MB"))
    fitted = [each for each in all_aggregators().values() if each.kind is Kind.FITTED]
    rows.append(
        (f"{len(fitted)} fitted aggregators", timed(lambda: [each(given) for each in fitted])[0], FITTED_S, "s")
    )
    mean = found["mean"].values
    for name, work in (
        ("calibration by shift, nested", lambda: calibrate(mean, given.outcomes, given.groups)),
        ("blend with the crowd, fitted", lambda: blending(given, mean, "mean", crowd_weight="fit")),
        ("mean against 20 members, 50 % and crowd", lambda: comparing(given)),
    ):
        rows.append((name, timed(work)[0], FITTED_S, "s"))
    differences = np.random.default_rng(1).random((QUESTIONS, COLUMNS))
    rows.append(
        (
            f"bootstrap, 2,000 resamples, {COLUMNS} columns",
            timed(lambda: bootstrap_means(differences, given.groups))[0],
            BOOTSTRAP_S,
            "s",
        )
    )
    rows += reading(given)
    print(conditions(before, numpy=np.__version__))
    print()
    print(
        table(
            ["10,000 questions × 20 members × 5 samples, a tenth missing", "measured", "at most"],
            [(name, f"{value:.2f} {unit}", f"{limit:g} {unit}") for name, value, limit, unit in rows],
        )
    )
    return int(any(value > limit for _, value, limit, _ in rows))


def reading(given: ForecastTable) -> list[tuple[str, float, float, str]]:
    """A million rows from CSV and from Parquet, questions beside them."""
    question, member, sample = (each.ravel() for each in np.indices(given.values.shape))
    columns = {
        "question_id": pyarrow.array(np.array(given.questions)[question]),
        "model": pyarrow.array(np.array(given.members)[member]),
        "sample": pyarrow.array(sample),
        "probability": pyarrow.array(given.values.ravel().round(4), from_pandas=True),
        "resolution": pyarrow.array(given.outcomes[question].astype(int)),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("csv", csv.write_csv), ("parquet", parquet.write_table)):
            path = Path(folder) / f"forecasts.{name}"
            write(pyarrow.table(columns), path)
            seconds, read = timed(partial(read_forecasts, path, unit="fraction", say=lambda _: None))
            np.testing.assert_allclose(read.values, given.values.round(4), atol=1e-12)
            rows.append((f"reading {len(question):,} rows of {name.upper()}", seconds, READING_S, "s"))
    return rows


def warm_up(given: ForecastTable) -> None:
    """Everything once on a few questions, so that what it imports is imported."""
    few = given.subset(np.arange(QUESTIONS) < 200)
    aggregates = aggregate_all(few)
    score_table(few, {name: each.values for name, each in aggregates.found.items()})
    blending(few, aggregates.found["mean"].values, "mean", crowd_weight="fit")
    calibrate(aggregates.found["mean"].values, few.outcomes, few.groups)
    comparing(few)


if __name__ == "__main__":
    sys.exit(main())
