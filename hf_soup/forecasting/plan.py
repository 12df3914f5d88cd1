"""What a run asks: every question of every member, as often as the member has samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hf_soup.forecasting.member import Member
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.prompt import Prompt
from hf_soup.forecasting.question import Question


@dataclass(frozen=True)
class Slot:
    """A sample of a member for a question. `number`: its place in the plan, from 0; `copy`: how many members before are
    the same as this one in all but their name."""

    number: int
    question: Question
    member: Member
    sample: int
    copy: int = 0


@dataclass(frozen=True)
class Plan:
    """`prompts` and `prices` by the name of the member; a price of None is not known."""

    questions: tuple[Question, ...]
    members: tuple[Member, ...]
    prompts: Mapping[str, Prompt]
    prices: Mapping[str, Price | None]

    def slots(self) -> Iterator[Slot]:
        """In the order of the result: questions as given, then members as given, then samples. Made one by one."""
        nameless = [(replace(member, name="", samples=1), self.prompts[member.name].digest) for member in self.members]
        copies = [nameless[:place].count(each) for place, each in enumerate(nameless)]
        number = 0
        for question in self.questions:
            for member, copy in zip(self.members, copies, strict=True):
                for sample in range(member.samples):
                    yield Slot(number, question, member, sample, copy)
                    number += 1

    def __len__(self) -> int:
        return len(self.questions) * sum(member.samples for member in self.members)

    def as_record(self) -> dict[str, Any]:
        """What run.json says of it. Names of variables with keys are in it, their values are not."""
        return {
            "questions": [_filled(asdict(question)) for question in self.questions],
            "members": [_filled(asdict(member)) for member in self.members],
            "prompts": {
                name: {
                    "name": prompt.name,
                    "digest": prompt.digest,
                    "form": prompt.form,
                    "negated": prompt.negated,
                    "turns": prompt.turns,
                    "crowd_in_turns": [prompt.shows_crowd(turn) for turn in range(len(prompt.turns))],
                }
                for name, prompt in self.prompts.items()
            },
            "prices": {name: None if price is None else asdict(price) for name, price in self.prices.items()},
        }


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
