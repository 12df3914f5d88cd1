"""The tables of a report, the same for terminal and card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.costs import Cost
from hf_soup.ensembles.evidence.differences import Difference
from hf_soup.ensembles.evidence.facts import DataFacts, SystemScores, Weight
from hf_soup.ensembles.evidence.grid import Grid
from hf_soup.ensembles.evidence.left_out import LeftOut

# Two tables of three columns each fit a terminal; one of six does not.
_DECISIONS = ("accuracy", "f1_macro", "auc")
_PROBABILITIES = ("nll", "brier", "ece")
_COMPARED = ("accuracy", "auc", "nll")


def score_grids(facts: DataFacts, systems: Sequence[SystemScores]) -> Iterator[Grid]:
    """Yields what was decided and how probable it was said to be, on one data set."""
    for metrics, what in ((_DECISIONS, "decisions"), (_PROBABILITIES, "probabilities")):
        body = []
        for system in systems:
            results = system.results.get(facts.name, {})
            cells = [shown.estimated(results.get(metric), metric) for metric in metrics]
            body.append([("* " if system.chosen else "  ") + system.title, *cells])
        yield Grid(f"{facts.described}: {what}, 95 % intervals", ["", *map(shown.title, metrics)], body)


def difference_grid(differences: Sequence[Difference]) -> Grid:
    """One line for each pair of systems and three of the metrics; the others stand in the JSON document."""
    body = [
        [
            f"{each.of} − {each.against}",
            each.set,
            shown.title(each.metric),
            shown.signed(each.value, each.metric),
            shown.interval(each.low, each.high, each.metric, with_sign=True) or "–",
            shown.value(each.detectable, each.metric),
        ]
        for each in differences
        if each.metric in _COMPARED
    ]
    header = ["", "on", "metric", "difference", "95 % interval", "detectable"]
    return Grid("Paired differences, and the smallest that so many rows find with 80 % power", header, body)


def weight_grid(weights: Sequence[Weight]) -> Grid:
    body = [
        [each.name, f"{each.value:.3f}", "–" if each.low is None else f"[{each.low:.3f}, {each.high:.3f}]"]
        for each in weights
    ]
    return Grid("Weights, with intervals from refits on resampled rows", ["", "weight", "95 % interval"], body)


def left_out_grid(left_out: Sequence[LeftOut]) -> Grid:
    """What the others lose or gain without one; refitted, out of fold."""
    body = []
    for one in left_out:
        cells = [
            f"{shown.signed(each.value, each.metric)} {shown.interval(each.low, each.high, each.metric, with_sign=True)}".rstrip()
            for each in one.differences
        ]
        body.append([one.name, one.what, *cells])
    header = ["without", "", *(shown.title(each.metric) for each in left_out[0].differences)]
    return Grid("The ensemble refitted without one of its members or families: change", header, body)


def cost_grid(costs: Sequence[Cost]) -> Grid:
    body = [
        [
            each.name,
            str(each.models),
            f"{each.forward_passes:.2f}".rstrip("0").rstrip("."),
            shown.amount(each.parameters),
            shown.latency(each.seconds_per_row),
            shown.amount(each.bytes) + ("B" if each.bytes is not None else ""),
        ]
        for each in costs
    ]
    header = ["", "models", "forward passes", "parameters", "time a row", "size"]
    return Grid("Cost of one row", header, body)
