"""One forecast a question from a table, by the aggregators that were named before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_soup.scoring.aggregators import Aggregate, Kind, aggregate_all, aggregator_named
from hf_soup.scoring.cross_validation import Splits
from hf_soup.scoring.documents import document
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table

PRIMARY = "mean"


@dataclass(frozen=True, repr=False)
class Aggregation:
    """`found`: by name, the primary one first. `left_out`: by name, why this table cannot have an aggregate. `of_which`: sentences on
    the questions that these are, where they are not all.
    """

    questions: tuple[str, ...]
    primary: str
    found: dict[str, Aggregate]
    left_out: dict[str, str]
    of_which: tuple[str, ...] = ()

    @property
    def values(self) -> np.ndarray:
        """float64 [Q]: the primary aggregate, NaN where no member has a forecast."""
        return self.found[self.primary].values

    def subset(self, mask: np.ndarray) -> Aggregation:
        """Returns the aggregates of the questions where `mask`, bool [Q], is true."""
        questions = tuple(question for question, kept in zip(self.questions, mask.tolist(), strict=True) if kept)
        return replace(self, questions=questions, found={name: each.subset(mask) for name, each in self.found.items()})

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each question: its id, every aggregate, the spread and number of members."""
        first = self.found[self.primary]
        return [
            {"question_id": question}
            | {name: float(each.values[n]) for name, each in self.found.items()}
            | {"spread": float(first.spread[n]), "members": int(first.counts[n])}
            for n, question in enumerate(self.questions)
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "primary": self.primary,
            "aggregators": {
                name: document(
                    {
                        "description": each.description,
                        "parameters": each.parameters,
                        "clipped": each.clipped,
                        "how_fitted": each.how_fitted,
                    }
                )
                for name, each in self.found.items()
            },
            "left_out": self.left_out,
            "of_which": list(self.of_which),
            "questions": document(self.rows()),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Aggregation (questions: {len(self.questions)}): {', '.join(self.found)}; print it for the table, .values for the forecasts>"

    def table(self) -> str:
        """Returns the rows in percent, and under them what each aggregator did."""
        header = ["question", *self.found, "spread", "members"]
        body = [
            [row["question_id"], *(percent(row[name]) for name in header[1:-1]), str(row["members"])]
            for row in self.rows()
        ]
        return "\n".join([text_table([header, *body]), "", *self.notes()])

    def notes(self) -> list[str]:
        """Returns a sentence for each aggregator: its parameters, clips and folds, or why it is left out."""
        said = [f"Primary: {self.found[self.primary].description}."]
        said += [f"{each.description}." for name, each in self.found.items() if name != self.primary]
        said += self.of_which
        return said + [f"{name} is left out: it {reason}." for name, reason in self.left_out.items()]


def aggregation(
    table: ForecastTable,
    methods: Sequence[str] = (PRIMARY,),
    *,
    everything: bool = False,
    splits: Splits | None = None,
) -> Aggregation:
    """Returns the aggregates of `methods`, the first of which is the primary one; `everything`: beside it all others.

    `splits`: of those that are fitted, by default ten folds. Raises InputError for an unknown name, and where the table lacks what
    one that was named needs.
    """
    named = {each.name: each for each in map(aggregator_named, methods)}
    found = {name: each(table, splits=splits if each.kind is Kind.FITTED else None) for name, each in named.items()}
    left_out: dict[str, str] = {}
    if everything:
        others = aggregate_all(table, splits=splits)
        found, left_out = (
            found | {name: each for name, each in others.found.items() if name not in found},
            others.left_out,
        )
    return Aggregation(table.questions, next(iter(named)), found, left_out)


def percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}%"
