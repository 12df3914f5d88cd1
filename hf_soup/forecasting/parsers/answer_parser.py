"""What a parser of answers is, and the ladder of all of them, made from decorated functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from hf_soup.forecasting.parsers.amounts import Amount, Unreadable
from hf_soup.forecasting.parsers.answer_lines import Answer

Parse = Callable[[Answer], Amount | Unreadable | None]
"""An amount ends the search; Unreadable ends it too, since a number that stands elsewhere must not replace what stands where
the forecast belongs; None leaves it to the next rung."""


@dataclass(frozen=True)
class Parser:
    """`name` stands in published files and never changes its meaning."""

    name: str
    rung: int
    parse: Parse

    @property
    def summary(self) -> str:
        return (self.parse.__doc__ or "").split("\n", 1)[0]


_PARSERS: dict[str, Parser] = {}


def parser(rung: int) -> Callable[[Parse], Parse]:
    """Registers a function under its own name. A lower rung is tried first."""

    def register(parse: Parse) -> Parse:
        _PARSERS[parse.__name__] = Parser(parse.__name__, rung, parse)
        return parse

    return register


def ladder() -> list[Parser]:
    """All parsers in the order in which they are tried."""
    for module in ("json_parsers", "line_parsers", "sentence_parsers"):
        import_module(f"hf_soup.forecasting.parsers.{module}")
    return sorted(_PARSERS.values(), key=lambda each: each.rung)
