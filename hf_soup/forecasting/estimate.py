"""What a run would cost, before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hf_soup.forecasting.member import Member
from hf_soup.forecasting.plan import Plan
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.prompt import Prompt
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.token_count import count_tokens
from hf_soup.text_table import text_table

USUAL_OUTPUT_TOKENS = 800
"""Of an answer with reasons, as the built-in prompts ask for; models that reason at length take several thousand."""


@dataclass(frozen=True)
class MemberEstimate:
    """`input_tokens`: an upper estimate over all calls. `cost_at_most`: every answer as long as it may be; `cost_usual`: with
    USUAL_OUTPUT_TOKENS. Dollars, None where the price is not known. Neither has repeated calls in it: those after a failure,
    and the one for the last line alone."""

    member: str
    model: str
    calls: int
    input_tokens: int
    max_output_tokens: int
    input_price: float | None
    output_price: float | None
    cost_at_most: float | None
    cost_usual: float | None


@dataclass(frozen=True)
class Estimate:
    """`settled`: slots that the run's folder has already, which are not in the figures. `problems`: what would keep the run from
    starting, such as a missing key."""

    members: tuple[MemberEstimate, ...]
    questions: int
    settled: int
    problems: tuple[str, ...]
    back_tests: tuple[str, ...]

    @property
    def calls(self) -> int:
        return sum(member.calls for member in self.members)

    @property
    def cost_at_most(self) -> float | None:
        """None where the price of a member is not known."""
        return _sum([member.cost_at_most for member in self.members])

    @property
    def cost_usual(self) -> float | None:
        return _sum([member.cost_usual for member in self.members])

    def to_json(self) -> dict[str, Any]:
        return {
            "questions": self.questions,
            "calls": self.calls,
            "settled": self.settled,
            "cost_at_most": self.cost_at_most,
            "cost_usual": self.cost_usual,
            "usual_output_tokens": USUAL_OUTPUT_TOKENS,
            "members": [asdict(member) for member in self.members],
            "problems": list(self.problems),
            "back_tests": list(self.back_tests),
        }

    def __str__(self) -> str:
        lines = [
            ["member", "calls", "tokens in", "tokens out at most", "cost at most", f"at {USUAL_OUTPUT_TOKENS} a call"]
        ]
        for each in self.members:
            tokens = [f"{each.input_tokens:,}", f"{each.max_output_tokens:,}"]
            lines.append(
                [each.member, f"{each.calls:,}", *tokens, _dollars(each.cost_at_most), _dollars(each.cost_usual)]
            )
        tokens = [
            f"{sum(getattr(member, name) for member in self.members):,}"
            for name in ("input_tokens", "max_output_tokens")
        ]
        lines.append(["all", f"{self.calls:,}", *tokens, _dollars(self.cost_at_most), _dollars(self.cost_usual)])
        kept = [f"{self.settled:,} slots are there already, and are not in these figures."] if self.settled else []
        return "\n".join([text_table(lines), *kept])


def estimate(
    plan: Plan, problems: Sequence[str], back_tests: Sequence[str], unsettled: Collection[int] | None = None
) -> Estimate:
    """Returns calls, tokens and cost of each member of a plan, without the network. `unsettled`: the numbers of the slots that are
    left to ask; None for all."""
    inputs: dict[str, list[int]] = {member.name: [] for member in plan.members}
    tokens_of: dict[tuple[str, str], list[int]] = {}
    for slot in plan.slots():
        if unsettled is not None and slot.number not in unsettled:
            continue
        name, question = slot.member.name, slot.question
        if (name, question.id) not in tokens_of:
            tokens_of[name, question.id] = _inputs(plan.prompts[name], question, slot.member.longest_answer)
        inputs[name] += tokens_of[name, question.id]
    members = tuple(_of_member(member, plan.prices[member.name], inputs[member.name]) for member in plan.members)
    settled = 0 if unsettled is None else len(plan) - len(unsettled)
    return Estimate(members, len(plan.questions), settled, tuple(problems), tuple(back_tests))


def _of_member(member: Member, price: Price | None, inputs: list[int]) -> MemberEstimate:
    usual = min(USUAL_OUTPUT_TOKENS, member.longest_answer)
    return MemberEstimate(
        member=member.name,
        model=member.model,
        calls=len(inputs),
        input_tokens=sum(inputs),
        max_output_tokens=len(inputs) * member.longest_answer,
        input_price=price.input if price else None,
        output_price=price.output if price else None,
        cost_at_most=sum(price.of(tokens, member.longest_answer) for tokens in inputs) if price else None,
        cost_usual=sum(price.of(tokens, usual) for tokens in inputs) if price else None,
    )


def _inputs(prompt: Prompt, question: Question, max_tokens: int) -> list[int]:
    """Tokens of the prompt of each turn; that of the second has the first answer in it, as long as it may be."""
    messages = prompt.first(question)
    tokens = [count_tokens(messages)]
    second = prompt.second(question, messages, "")
    if second is not None:
        tokens.append(count_tokens(second) + max_tokens)
    return tokens


def _sum(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _dollars(cost: float | None) -> str:
    if cost is None:
        return "unknown"
    return f"${cost:,.2f}" if cost >= 1 or cost == 0 else f"${cost:.4f}"
