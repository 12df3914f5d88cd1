"""Reliability diagrams of the aggregate and the crowd."""

from __future__ import annotations

from hf_soup.reporting.figures.reliability import reliability_diagram
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words
from hf_soup.reporting.page import Block, Prose, Section
from hf_soup.scoring.calibration_index import BINS, reliability_bins


def reliability(found: Findings) -> Section | None:
    """Returns the diagrams; None with fewer than two scored questions."""
    if found.n_scored < 2:
        return None
    outcomes = found.table.outcomes
    bins = reliability_bins(found.aggregate, outcomes)
    blocks: list[Block] = [reliability_diagram("reliability", aggregator_words(found.primary.name), bins)]
    if found.has_crowd and (of_crowd := reliability_bins(found.table.crowd, outcomes)):
        blocks.append(reliability_diagram("reliability-crowd", "human crowd", of_crowd))
    blocks.append(
        Prose(
            f"Forecasts fall into {BINS} bins of equal width; a point shows their mean and how many of their questions ended yes, the bar "
            "Wilson's 95 % interval of that share. Points on the dashed line would be perfect; a bar that crosses it contradicts nothing."
        )
    )
    return Section("reliability", "Reliability", tuple(blocks))
