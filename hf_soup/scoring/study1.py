"""Study 1 of arXiv 2402.19379 as a protocol: a crowd of models against 50 %, against a human crowd, and its biases.

The paper's tests are kept as they were (unpaired t, bounds of TOST from the data), each beside the test that uses the same
questions for both. The numbers that the paper printed come out of its summary statistics; see tests/scoring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.biases.heaping import Heaping, heaping
from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.calibration_index import ReliabilityBin, reliability_bins
from hf_soup.scoring.comparison import Column, Comparison, compare, compare_pairs, compare_with_constant
from hf_soup.scoring.comparison_family import Family, family_of
from hf_soup.scoring.comparison_tests import TTest, clustered_mean, t_test, unpaired_error
from hf_soup.scoring.crowd_blend import refuse_late_crowd
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.equivalence import Equivalence, papers_tost, refuse_bound
from hf_soup.scoring.multiple import Adjusted, benjamini_hochberg
from hf_soup.scoring.scores import brier
from hf_soup.scoring.scores_table import ColumnScores, ScoreTable, score_table
from hf_soup.scoring.table import ForecastTable

THIRD_HYPOTHESIS = (
    "The wording of the paper's third preregistered hypothesis is not known; of it only the adjusted p of .006 is (.002 before). "
    "It is not tested here, and the adjustment is over the first two."
)


@dataclass(frozen=True)
class Hypothesis:
    """One of the paper's tests as it was made. `test` None: too few questions. `detectable`: at 80 % power, by this test."""

    name: str
    wording: str
    difference: float
    n: int
    test: TTest | None
    detectable: float | None


@dataclass(frozen=True)
class Acquiescence:
    """Whether forecasts lean to yes: the mean of all forecasts on resolved questions against 50 %.

    The test and the 95 % interval are clustered by question: twelve models' forecasts of one question are no twelve observations.
    `base_rate`: the share that ended yes, weighed as the forecasts are. A mean above 50 % where more than half ended yes is no
    bias, so `excess`, mean − base rate, with its own interval, is the number to read; neither is a bias of single answers, which
    needs negated questions. `adjusted_p`: the p of `test` times the number of looks, None for one; it is adjusted with no other test.
    """

    mean: float
    interval: tuple[float, float] | None
    test: TTest | None
    detectable: float | None
    base_rate: float
    excess: float
    excess_interval: tuple[float, float] | None
    forecasts: int
    groups: int
    adjusted_p: float | None = None


@dataclass(frozen=True)
class ModelRow:
    """A member: its scores, how many of the possible forecasts it gave, and against the aggregate where both answered.

    The comparison's p is adjusted over those of all members.
    """

    scores: ColumnScores
    forecasts: int
    against_aggregate: Comparison


@dataclass(frozen=True)
class TopicRow:
    """The aggregate on the questions of one topic."""

    topic: str
    scores: ColumnScores


@dataclass(frozen=True)
class Study1:
    """The protocol's result. What needs a human crowd is None without one; what needs two questions, with fewer.

    `hypotheses` and `adjusted`: the paper's tests and their Benjamini–Hochberg adjustment. `against_half` is the test of H1, with its
    adjusted p. `against_humans`: paired, on the same questions, with TOST where a bound was stated; its p is adjusted as if it stood
    in the place of H2. `papers_equivalence`: bounds ±0.5 × pooled SD, unpaired, p times the number of looks. `of_models`: how the
    members' p were adjusted. `worse_models`: how many members have a worse Brier score than the aggregate on the questions that
    both answered.
    """

    aggregate: str
    scores: ScoreTable
    hypotheses: tuple[Hypothesis, ...]
    adjusted: Adjusted
    against_half: Comparison
    against_humans: Comparison | None
    papers_equivalence: Equivalence | None
    acquiescence: Acquiescence
    heaping: Heaping
    models: tuple[ModelRow, ...]
    of_models: Adjusted
    worse_models: int
    topics: tuple[TopicRow, ...]
    reliability: tuple[ReliabilityBin, ...]
    reliability_of_humans: tuple[ReliabilityBin, ...]
    notes: tuple[str, ...]


def study1(
    table: ForecastTable, *, aggregate: Column | None = None, bound: float | None = None, looks: int = 1
) -> Study1:
    """Returns Study 1 of this table: `aggregate`, by default the paper's median of all forecasts, is the crowd of models.

    `table.crowd`: the human crowd, left out where it is NaN. `bound`: for a paired TOST against the humans, in Brier points,
    stated before looking; the paper's own is always shown. `looks`: how often these data were tested before resolving, this time
    included. Raises InputError where a forecast was shown the crowd, or the crowd is dated after a forecast: the models would
    not be alone, or the humans would know more.
    """
    if bound is not None:
        refuse_bound(bound)
    models = aggregate or Column("median", aggregator_named("median")(table).values)
    humans = None if np.isnan(table.crowd).all() else Column("crowd", table.crowd)
    if humans is not None:
        _refuse_what_knows_the_crowd(table)
    scores = score_table(table, {models.name: models.values})
    against_half = compare_with_constant(models, table.outcomes, table.groups)
    hypotheses = [_first_hypothesis(against_half)]
    against_humans = papers_equivalence = None
    if humans is not None:
        of_models, of_humans = (_scores_of(each, table.outcomes) for each in (models, humans))
        hypotheses.append(_second_hypothesis(of_models, of_humans))
        against_humans = compare(models, humans, table.outcomes, table.groups, bound=bound)
        if hypotheses[-1].test is not None:
            papers_equivalence = papers_tost(of_models, of_humans)
            counted = _with_looks(papers_equivalence.decisive_p, looks)
            papers_equivalence = replace(papers_equivalence, adjusted_p=counted)
    adjusted = benjamini_hochberg(
        [each.name for each in hypotheses], [each.test.p if each.test else None for each in hypotheses], looks=looks
    )
    if against_humans is not None:
        against_humans = family_of([against_half, against_humans], looks=looks).comparisons[1]
    lean = acquiescence(table)
    lean = replace(lean, adjusted_p=_with_looks(lean.test.p if lean.test else None, looks))
    rows, of_each = _model_rows(table, models, scores, looks)
    return Study1(
        aggregate=models.name,
        scores=scores,
        hypotheses=tuple(hypotheses),
        adjusted=adjusted,
        against_half=replace(against_half, adjusted_p=adjusted.adjusted[0]),
        against_humans=against_humans,
        papers_equivalence=papers_equivalence,
        acquiescence=lean,
        heaping=heaping(table.values),
        models=rows,
        of_models=of_each.adjusted,
        worse_models=sum(row.against_aggregate.difference > 0 for row in rows),
        topics=tuple(TopicRow(topic, columns[0]) for topic, columns in scores.by_topic.items()),
        reliability=reliability_bins(models.values, table.outcomes),
        reliability_of_humans=reliability_bins(humans.values, table.outcomes) if humans else (),
        notes=_notes(table, humans),
    )


def acquiescence(table: ForecastTable) -> Acquiescence:
    """Returns the mean of all forecasts of resolved questions against 50 % and against the base rate, clustered by group."""
    pooled = np.where(np.isnan(table.outcomes)[:, None], np.nan, table.pooled())
    yes = np.broadcast_to(table.outcomes[:, None], pooled.shape)
    groups = np.broadcast_to(table.groups[:, None], pooled.shape).ravel()
    above_half = clustered_mean((pooled - 0.5).ravel(), groups)
    excess = clustered_mean((pooled - yes).ravel(), groups)
    intervals = bootstrap_means(np.stack([pooled.ravel(), (pooled - yes).ravel()], axis=1), groups)
    testable = above_half.testable
    return Acquiescence(
        mean=0.5 + above_half.mean,
        interval=intervals.of(0),
        test=t_test(above_half.mean, above_half.standard_error, above_half.df) if testable else None,
        detectable=smallest_detectable(above_half.standard_error, above_half.df) if testable else None,
        base_rate=0.5 + above_half.mean - excess.mean,
        excess=excess.mean,
        excess_interval=intervals.of(1),
        forecasts=above_half.n,
        groups=above_half.groups,
    )


def _with_looks(p: float | None, looks: int) -> float | None:
    """The p of a test that is adjusted with no other, times the number of looks; None for one look."""
    return benjamini_hochberg(["alone"], [p], looks=looks).adjusted[0] if looks > 1 else None


def _first_hypothesis(against_half: Comparison) -> Hypothesis:
    return Hypothesis(
        name="H1",
        wording="the crowd of models has another Brier score than 50 % on every question, .25 (one-sample t, by group)",
        difference=against_half.difference,
        n=against_half.n,
        test=against_half.test,
        detectable=against_half.detectable,
    )


def _second_hypothesis(models: np.ndarray, humans: np.ndarray) -> Hypothesis:
    n = min(int((~np.isnan(each)).sum()) for each in (models, humans))
    wording = "the crowd of models has another Brier score than the human crowd (unpaired t, as in the paper)"
    if n > 1:
        difference, error, df = unpaired_error(models, humans)
        if error > 0:
            return Hypothesis(
                "H2", wording, difference, n, t_test(difference, error, df), smallest_detectable(error, df)
            )
    return Hypothesis("H2", f"{wording}; not tested", float("nan"), n, None, None)


def _model_rows(
    table: ForecastTable, models: Column, scores: ScoreTable, looks: int
) -> tuple[tuple[ModelRow, ...], Family]:
    means = table.member_means()
    pairs = [(Column(name, means[:, number]), models) for number, name in enumerate(table.members)]
    family = family_of(compare_pairs(pairs, table.outcomes, table.groups), looks=looks)
    given = (~np.isnan(table.values)).sum(axis=(0, 2))
    rows = tuple(
        ModelRow(scores.column(name), int(count), comparison)
        for name, count, comparison in zip(table.members, given, family.comparisons, strict=True)
    )
    return rows, family


def _scores_of(column: Column, outcomes: np.ndarray) -> np.ndarray:
    return brier(column.values, outcomes)


def _notes(table: ForecastTable, humans: Column | None) -> tuple[str, ...]:
    possible, given = table.values.size, int((~np.isnan(table.values)).sum())
    notes = [
        THIRD_HYPOTHESIS,
        f"{given} of {possible} forecasts were given; missing ones are left out, none is replaced.",
        "A model's score is that of the mean of its samples; how the paper scored its three queries a model is not known.",
        "Calibration indices use 10 bins of equal width; the paper's bins are not known.",
    ]
    if humans is None:
        notes.append("There is no human crowd in these data, so nothing is compared with one.")
    else:
        notes.append(
            "The paper's equivalence test takes its bounds from the data and ignores that both answered the same questions: with 31 "
            "questions it called a crowd that was worse by .0215 Brier equivalent in 27 % of resamples. Read the paired comparison."
        )
    return tuple(notes)


def _refuse_what_knows_the_crowd(table: ForecastTable) -> None:
    if table.shown_crowd is not None and (shown := int((table.shown_crowd & ~np.isnan(table.values)).sum())):
        raise InputError(
            f"study1: {shown} forecasts were made after the crowd's was shown, so the models are not alone; leave them out, or use "
            "study2, which is about them."
        )
    refuse_late_crowd(table, ~np.isnan(table.crowd))
