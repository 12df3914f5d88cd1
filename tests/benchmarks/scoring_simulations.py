"""What the tests of comparisons do when the truth is known: size, power and coverage over 10,000 runs each.

    python tests/benchmarks/scoring_simulations.py            # all, 33 minutes of one core; --runs 1000 for a look
    python tests/benchmarks/scoring_simulations.py --part gate    # 24 of these: the shift that is applied only where it pays

A crowd of questions has true probabilities q ~ Beta(a, b) and outcomes drawn from them; a forecaster says
expit(slope · logit q + bias + noise · z). Two forecasters have the same expected Brier score where the scenario says so (the bias
or noise of the second is solved for); TOST is simulated with the true difference at its bound. The default tests run a
part of this with few runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.calibration import calibrate
from hf_soup.scoring.comparison import few_of_an_outcome
from hf_soup.scoring.comparison_tests import clustered_mean, symmetry, t_test
from hf_soup.scoring.equivalence import tost

_DRAWS = 400_000
_COLUMNS = 50  # data sets that one call of the bootstrap takes


@dataclass(frozen=True)
class Forecaster:
    """How a forecast comes from the true probability. `slope` None: always 50 %."""

    bias: float = 0.0
    noise: float = 0.0
    slope: float | None = 1.0

    def say(self, q: np.ndarray, z: np.ndarray) -> np.ndarray:
        if self.slope is None:
            return np.full(q.shape, 0.5)
        return expit(self.slope * logit(np.clip(q, 1e-4, 1 - 1e-4)) + self.bias + self.noise * z)


@dataclass(frozen=True)
class Scenario:
    """`crowd`: a, b of the Beta distribution of true probabilities. `cluster`: rows that share one outcome and one q."""

    name: str
    crowd: tuple[float, float]
    first: Forecaster
    second: Forecaster
    cluster: int = 1

    def true_difference(self) -> float:
        """E[Brier of first] − E[Brier of second], the second moments of outcomes taken exactly."""
        generator = np.random.default_rng(7)
        q = generator.beta(*self.crowd, _DRAWS)
        p, r = (
            self.first.say(q, generator.standard_normal(_DRAWS)),
            self.second.say(q, generator.standard_normal(_DRAWS)),
        )
        return float((p**2 - 2 * p * q - r**2 + 2 * r * q).mean())

    def differences(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """[n · cluster]: differences of Brier scores, rows of a cluster side by side."""
        return self.drawn(n, generator)[0]

    def drawn(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(differences, outcomes), both [n · cluster]."""
        q = np.repeat(generator.beta(*self.crowd, n), self.cluster)
        y = np.repeat(generator.random(n), self.cluster) < q
        p, r = (each.say(q, generator.standard_normal(len(q))) for each in (self.first, self.second))
        return (p - y) ** 2 - (r - y) ** 2, y.astype(float)


def equal_scores(name: str, crowd: tuple[float, float], first: Forecaster, cluster: int = 1) -> Scenario:
    """A second forecaster with noise alone, as much as gives it the same expected Brier score as `first`."""

    def difference(noise: float) -> float:
        return Scenario(name, crowd, first, Forecaster(noise=noise)).true_difference()

    return Scenario(name, crowd, first, Forecaster(noise=brentq(difference, 0.0, 5.0, xtol=1e-4)), cluster)


CALIBRATED, SKEWED, RARE = (0.8, 0.8), (1.0, 5.0), (0.5, 5.0)  # 50, 17 and 9 % of yes


def nulls() -> list[Scenario]:
    """Both expect the same Brier score."""
    half = Forecaster(slope=None)
    return [
        Scenario("calibrated: noise, noise", CALIBRATED, Forecaster(noise=0.7), Forecaster(noise=0.7)),
        equal_scores("calibrated: bias, noise", CALIBRATED, Forecaster(bias=0.7, noise=0.2)),
        equal_scores("calibrated: overconfident, noise", CALIBRATED, Forecaster(slope=2.0, noise=0.2)),
        equal_scores("calibrated: always 50 %, noise", CALIBRATED, half),
        equal_scores("skewed: bias up, noise", SKEWED, Forecaster(bias=0.5, noise=0.3)),
        equal_scores("skewed: bias down, noise", SKEWED, Forecaster(bias=-0.7, noise=0.3)),
        equal_scores("rare: bias up, noise", RARE, Forecaster(bias=0.5, noise=0.3)),
        equal_scores("skewed, 3 rows a group: bias up, noise", SKEWED, Forecaster(bias=0.5, noise=0.3), cluster=3),
    ]


def unequal() -> list[Scenario]:
    """The first is truly worse, as differences at the bound of TOST are."""
    good = Forecaster(noise=0.3)
    return [
        Scenario("calibrated: noisier", CALIBRATED, Forecaster(noise=1.0), good),
        Scenario("calibrated: biased", CALIBRATED, Forecaster(bias=0.7, noise=0.3), good),
        Scenario("skewed: biased up", SKEWED, Forecaster(bias=0.5, noise=0.3), good),
        Scenario("skewed: biased down", SKEWED, Forecaster(bias=-0.7, noise=0.3), good),
        Scenario("skewed, 3 rows a group: biased down", SKEWED, Forecaster(bias=-0.7, noise=0.3), good, cluster=3),
        Scenario("rare: biased up", RARE, Forecaster(bias=0.5, noise=0.3), good),
    ]


def size_of_t(scenario: Scenario, n: int, runs: int, seed: int = 1) -> float:
    """The share of runs in which the paired t test rejects at 5 % what is true."""
    return float(np.mean([p < 0.05 for p in _t_values(scenario, n, runs, seed, scenario.true_difference())]))


def size_of_wilcoxon(scenario: Scenario, n: int, runs: int, seed: int = 1) -> float:
    """The share of runs in which Wilcoxon's test rejects at 5 %, of differences whose expectation is 0: why it is no verdict."""
    generator = np.random.default_rng(seed)
    return float(np.mean([symmetry(scenario.differences(n, generator)).p < 0.05 for _ in range(runs)]))


def power_of_t(scenario: Scenario, n: int, runs: int, seed: int = 1) -> float:
    """The share of runs in which the paired t test of a difference from 0 rejects at 5 %."""
    return float(np.mean([p < 0.05 for p in _t_values(scenario, n, runs, seed, 0.0)]))


def expected_power(scenario: Scenario, n: int) -> float:
    """statsmodels' TTestPower for the scenario's true difference and standard deviation."""
    from statsmodels.stats.power import TTestPower

    sd = scenario.differences(_DRAWS, np.random.default_rng(11)).std()
    return float(TTestPower().power(abs(scenario.true_difference()) / sd, n, 0.05))


def size_of_tost(scenario: Scenario, n: int, runs: int, seed: int = 1) -> tuple[float, float]:
    """The share of runs that call a difference within bounds that it truly reaches: (the verdict, the t tests alone).

    The differences are moved to a bound many standard errors from 0, so that only this bound matters, which is where TOST errs
    most; the worse of the upper and the lower bound counts.
    """
    generator = np.random.default_rng(seed)
    truth, groups, bound = scenario.true_difference(), np.repeat(np.arange(n), scenario.cluster), 1.0
    shown, plain = np.zeros(2), np.zeros(2)
    for _ in range(runs):
        differences, outcomes = scenario.drawn(n, generator)
        differences, few = differences - truth, few_of_an_outcome(outcomes, groups)
        for side, at in enumerate((-bound, bound)):
            mean = clustered_mean(differences + at, groups)
            tests = tost(mean.mean, mean.standard_error, mean.df, bound, skewness=mean.skewness, withheld=few)
            shown[side] += tests.shown
            plain[side] += tests.p < tests.alpha
    return float(shown.max() / runs), float(plain.max() / runs)


def coverage(scenario: Scenario, n: int, runs: int, seed: int = 1) -> float:
    """The share of runs in which the 95 % bootstrap interval holds the true difference."""
    generator = np.random.default_rng(seed)
    truth, groups, inside = scenario.true_difference(), np.repeat(np.arange(n), scenario.cluster), 0
    for _ in range(runs // _COLUMNS):
        values = np.stack([scenario.differences(n, generator) for _ in range(_COLUMNS)], axis=1)
        # A seed of its own for every call, or all runs would share the same resamples.
        intervals = bootstrap_means(values, groups, seed=int(generator.integers(2**31)))
        inside += int(((intervals.low <= truth) & (truth <= intervals.high)).sum())
    return inside / (runs // _COLUMNS * _COLUMNS)


def cost_of_gate(crowd: tuple[float, float], n: int, runs: int, seed: int = 1) -> tuple[float, float, float]:
    """What the gated shift costs a perfectly calibrated crowd, in expected Brier score: (mean, its standard error, share of runs in
    which the gate is open on all questions).

    A forecast that equals the true q and is moved to v costs exactly (v − q)² in expectation over its outcome, of which the fit
    that moved it knows nothing.
    """
    generator = np.random.default_rng(seed)
    costs, opened = np.empty(runs), 0
    for run in range(runs):
        q = generator.beta(*crowd, n)
        found = calibrate(q, (generator.random(n) < q).astype(float), np.arange(n))
        costs[run] = ((found.values - q) ** 2).mean()
        opened += found.applied
    return float(costs.mean()), float(costs.std(ddof=1) / runs**0.5), opened / runs


GATED = ((CALIBRATED, 31), (CALIBRATED, 100), (CALIBRATED, 400), (SKEWED, 100))


def _t_values(scenario: Scenario, n: int, runs: int, seed: int, against: float) -> Iterator[float]:
    generator, groups = np.random.default_rng(seed), np.repeat(np.arange(n), scenario.cluster)
    for _ in range(runs):
        mean = clustered_mean(scenario.differences(n, generator) - against, groups)
        yield t_test(mean.mean, mean.standard_error, mean.df).p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--part", choices=["tests", "gate"], help="one of the two alone")
    arguments = parser.parse_args()
    runs, began = arguments.runs, time.perf_counter()
    print(f"{runs} runs; ± is two Monte Carlo standard errors of 5 %: {200 * (0.05 * 0.95 / runs) ** 0.5:.2f} points")
    if arguments.part != "gate":
        simulate_tests(runs)
    if arguments.part != "tests":
        simulate_gate(runs)
    print(f"{time.perf_counter() - began:.0f} s")


def simulate_gate(runs: int) -> None:
    for crowd, n in GATED:
        cost, error, opened = cost_of_gate(crowd, n, runs)
        print(
            f"gated shift      n {n:4}  calibrated crowd, q ~ Beta{crowd!s:29} costs {cost:.5f} ± {2 * error:.5f}, open in "
            f"{100 * opened:.1f} %",
            flush=True,
        )


def simulate_tests(runs: int) -> None:
    for n in (100, 400):
        for scenario in nulls():
            print(
                f"size, paired t   n {n:4}  {scenario.name:45} {100 * size_of_t(scenario, n, runs):5.2f} %", flush=True
            )
        for scenario in nulls():
            share = size_of_wilcoxon(scenario, n, runs // 10)
            print(f"Wilcoxon rejects n {n:4}  {scenario.name:45} {100 * share:5.1f} %", flush=True)
        for scenario in [*nulls(), *unequal()]:
            verdict, plain = size_of_tost(scenario, n, runs)
            print(
                f"size, TOST       n {n:4}  {scenario.name:45} {100 * verdict:5.2f} % (t alone {100 * plain:5.2f} %)",
                flush=True,
            )
        for scenario in unequal():
            power, expected = power_of_t(scenario, n, runs), expected_power(scenario, n)
            print(
                f"power, paired t  n {n:4}  {scenario.name:45} {100 * power:5.1f} %, TTestPower {100 * expected:5.1f} %"
            )
    for n, scenarios in ((400, [*nulls(), *unequal()]), (1000, unequal()[::2])):
        for scenario in scenarios:
            print(
                f"coverage         n {n:4}  {scenario.name:45} {100 * coverage(scenario, n, runs):5.2f} %", flush=True
            )


if __name__ == "__main__":
    main()
