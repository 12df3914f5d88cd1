"""What the answers cost."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Block, Grid, Prose, Section, listed
from hf_soup.reporting.run_facts import MemberFacts
from hf_soup.reporting.sections.cells import NOTHING, difference, dollars
from hf_soup.scoring.biases.cost_per_brier_point import CostPerBrierPoint
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.shown_numbers import counted


def costs(found: Findings) -> Section:
    """Returns dollars, tokens and seconds of each member; of ready-made forecasts that they are not known."""
    if found.run is None:
        return Section("costs", "Costs", (Prose("These forecasts came ready-made: what they cost is not known."),))
    questions = len(found.table.questions)
    grid = Grid(
        "Costs by model",
        ("model", "dollars", "dollars a question", "tokens in", "tokens out", "seconds an answer"),
        tuple(_row(each, questions) for each in found.run.members),
    )
    total = (
        "No price was known, so neither is the cost."
        if found.run.cost is None
        else f"The whole run cost {dollars(found.run.cost)}, answers that were lost on their way at their worst case."
    )
    blocks: list[Block] = [grid, Prose(f"{total} Seconds are the median of a model's answers.")]
    if (prices := found.bias.cost_per_brier_point) is not None and found.n_scored:
        blocks += _per_point(prices)
    return Section("costs", "Costs", tuple(blocks))


def _row(member: MemberFacts, questions: int) -> tuple[str, ...]:
    return (
        member_name(member.name),
        dollars(member.cost),
        dollars(None if member.cost is None else member.cost / questions),
        NOTHING if member.input_tokens is None else f"{member.input_tokens:,}",
        NOTHING if member.output_tokens is None else f"{member.output_tokens:,}",
        NOTHING if member.latency_s is None else f"{member.latency_s:.1f}",
    )


def _per_point(prices: CostPerBrierPoint) -> list[Block]:
    point = number(prices.point).rstrip("0")
    of_members = [
        (member_name(each.name), dollars(each.per_question), difference(each.gain.value), dollars(each.per_point))
        for each in prices.by_member
    ]
    blocks: list[Block] = [
        Grid(
            f"What a Brier score lower by {point} costs, against always saying 50 %",
            ("model", "dollars a question", "gain", f"dollars a question for each {point}"),
            tuple(of_members),
        )
    ]
    if prices.by_number:
        of_crowds = [
            (
                f"{counted(each.members, 'model')} with {counted(each.samples, 'sample')}",
                dollars(each.per_question),
                f"{difference(each.gain)} ± {number(each.gain_error)}",
                dollars(each.per_point),
            )
            for each in prices.by_number
        ]
        blocks.append(
            Grid(
                f"What a Brier score lower by {point} costs, against one model with one sample",
                ("crowd", "dollars a question", "gain ± standard error", f"dollars more for each {point}"),
                tuple(of_crowds),
            )
        )
    if prices.unknown:
        blocks.append(
            Prose(
                f"The price of {listed([member_name(each) for each in prices.unknown])} is not known, so that of a crowd is not either: it "
                "can be given when asking (--prices)."
            )
        )
    return blocks
