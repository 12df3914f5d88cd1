"""From what the user wrote to a plan, with every problem found before the first call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hf_soup.errors import InputError
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.keys import key_problems
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import DEFAULT_MAX_TOKENS, Member
from hf_soup.forecasting.members import read_members
from hf_soup.forecasting.plan import Plan
from hf_soup.forecasting.prices import Price, price_of, prices_in, read_prices
from hf_soup.forecasting.prompt import load_prompt
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.questions import read_questions

Result = TypeVar("Result")
Prices = str | Path | Mapping[str, Price | Mapping[str, float]]
Questions = str | Path | Sequence[Mapping[str, Any]] | Sequence[Question]


@dataclass(frozen=True)
class Wish:
    """What the user wrote. See `Crowd` for what each field means."""

    members: str | Path | Sequence[str | Member]
    prompt: str | Path
    api_base: str | None = None
    api_key_env: str | None = None
    prices: Prices | None = None
    allow_unpriced: bool = False
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Prepared:
    """`plan` is None where questions, members or prompts could not be read. `to_ask`: what keeps a run from starting but not from
    being estimated: a missing key, a price that is not known. `notes`: what is asked in part only."""

    plan: Plan | None
    problems: tuple[str, ...]
    to_ask: tuple[str, ...]
    notes: tuple[str, ...] = ()


def prepare(wish: Wish, questions: Questions, unit: Unit, columns: Mapping[str, str] | None) -> Prepared:
    """Reads and checks everything. Sends nothing."""
    problems: list[str] = []
    problems += _problems_of_defaults(wish)
    read = _noting(problems, lambda: read_questions(questions, unit=unit, columns=columns)) or []
    members = [
        _with_defaults(member, wish)
        for member in _noting(
            problems, lambda: read_members(wish.members, api_base=wish.api_base, api_key_env=wish.api_key_env)
        )
        or []
    ]
    table = _noting(problems, lambda: _table(wish.prices)) or {}
    names = dict.fromkeys(str(member.prompt or wish.prompt) for member in members) or {str(wish.prompt): None}
    loaded = {name: _noting(problems, lambda name=name: load_prompt(name)) for name in names}  # type: ignore[misc]
    prompts = {name: prompt for name, prompt in loaded.items() if prompt is not None}
    for prompt in prompts.values():
        problems += prompt.problems(read)
    problems += _unknown_models(members)
    prices = {member.name: price_of(member, table) for member in members}
    to_ask = key_problems([member for member in members if not _unknown_models([member])])
    if not wish.allow_unpriced:
        to_ask += [
            f"{name}: its price is not known; name it in a file of --prices (model: {{input: 2.5, output: 10}}, dollars per million "
            "tokens), or go on without one with --allow-unpriced."
            for name, price in prices.items()
            if price is None
        ]
    if problems or not read or not members:
        return Prepared(None, tuple(problems) or ("There are no questions.",), tuple(to_ask))
    by_member = {member.name: prompts[str(member.prompt or wish.prompt)] for member in members}
    notes = tuple(note for prompt in prompts.values() for note in prompt.notes(read))
    return Prepared(Plan(tuple(read), tuple(members), by_member, prices), (), tuple(to_ask), notes)


def _noting(problems: list[str], read: Callable[[], Result]) -> Result | None:
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None


def _problems_of_defaults(wish: Wish) -> list[str]:
    problems = []
    if wish.temperature is not None and not (math.isfinite(wish.temperature) and wish.temperature >= 0):
        problems.append(f"temperature={wish.temperature}: is to be a number from 0.")
    if wish.max_tokens is not None and wish.max_tokens < 1:
        problems.append(f"max_tokens={wish.max_tokens}: is to be at least 1.")
    return problems


def _with_defaults(member: Member, wish: Wish) -> Member:
    """What a member says itself comes first."""
    if member.temperature is None and wish.temperature is not None:
        member = replace(member, temperature=wish.temperature)
    if member.max_tokens is None:
        member = replace(member, max_tokens=DEFAULT_MAX_TOKENS if wish.max_tokens is None else wish.max_tokens)
    return member


def _table(prices: Prices | None) -> dict[str, Price]:
    if prices is None:
        return {}
    return read_prices(prices) if isinstance(prices, str | Path) else prices_in(prices, "prices")


def _unknown_models(members: Sequence[Member]) -> list[str]:
    """Models that litellm has no provider for. Whether a provider has the model, only the provider knows."""
    library = litellm()
    problems = []
    for member in members:
        try:
            library.get_llm_provider(model=member.model, api_base=member.api_base)
        except library.exceptions.BadRequestError:
            problems.append(
                f"{member.model}: begins with no provider that litellm knows; write provider/model, such as openai/gpt-4o, or openai/NAME "
                "with --api-base for a server of your own."
            )
    return problems
