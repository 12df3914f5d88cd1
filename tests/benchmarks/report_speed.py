"""How long a full report takes: every aggregate, score, test, bias and figure, and the page as HTML and Markdown.

python tests/benchmarks/report_speed.py [--questions 10000] [--members 20] [--samples 5] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import time

import numpy as np

from hf_soup.reporting import report
from hf_soup.scoring.table import ForecastTable

LIMIT_S, LIMIT_BYTES = 30.0, 3_000_000


def simulated(questions: int, members: int, samples: int) -> ForecastTable:
    """Members that know a little and err independently, a crowd that knows more, 5 % of the answers missing."""
    generator = np.random.default_rng(1)
    truth = generator.normal(size=questions)
    said = truth[:, None, None] + generator.normal(scale=0.8, size=(questions, members, 1))
    said = said + generator.normal(scale=0.3, size=(questions, members, samples))
    values = np.round(1 / (1 + np.exp(-said)), 2)
    values[generator.random(values.shape) < 0.05] = np.nan
    outcomes = (generator.random(questions) < 1 / (1 + np.exp(-truth))).astype(float)
    crowd = 1 / (1 + np.exp(-truth - generator.normal(scale=0.3, size=questions)))
    return ForecastTable.of(values, outcomes, crowd=crowd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    table = simulated(arguments.questions, arguments.members, arguments.samples)
    report(simulated(60, 2, 2)).html()  # imports, and the cache of fonts
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    started = time.perf_counter()
    made = report(table)
    computed = time.perf_counter()
    html = made.html()
    drawn = time.perf_counter()
    made.markdown()
    written = time.perf_counter()
    profile.disable()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{arguments.questions} questions × {arguments.members} members × {arguments.samples} samples: numbers "
        f"{computed - started:.1f} s, HTML {drawn - computed:.1f} s ({len(html.encode()) / 1e6:.2f} MB), Markdown "
        f"{written - drawn:.1f} s, together {written - started:.1f} s (limit {LIMIT_S:g} s), peak {peak:.0f} MiB"
    )
    if arguments.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
    assert written - started <= LIMIT_S
    assert len(html.encode()) <= LIMIT_BYTES


if __name__ == "__main__":
    main()
