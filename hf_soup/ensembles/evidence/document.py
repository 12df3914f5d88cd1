"""The report as a document: verdict, tables, rows for a data frame, JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hf_soup.ensembles.evidence.costs import Cost
from hf_soup.ensembles.evidence.cross_dataset import CrossDataset
from hf_soup.ensembles.evidence.differences import Difference
from hf_soup.ensembles.evidence.facts import DataFacts, SystemScores, Weight
from hf_soup.ensembles.evidence.grid import Grid
from hf_soup.ensembles.evidence.left_out import LeftOut
from hf_soup.ensembles.evidence.reliability import Reliability
from hf_soup.ensembles.evidence.tables import cost_grid, difference_grid, left_out_grid, score_grids, weight_grid


@dataclass(frozen=True)
class EnsembleReport:
    """`sentence`: the verdict. `systems`: members, family means and all combinations, flat and tiered; `*` marks the chosen one.

    `sets`: the fitting rows first. On them, what was fitted is scored out of fold, and the best single model is chosen on the
    training folds. `differences`: the chosen one against others. `left_out`: the chosen one without a member or family.
    `rivals`: the chosen one against every other system on the set that the verdict is about.
    `crossed`: fitted on one set, tested on another; None with one set.
    """

    sentence: str
    sets: tuple[DataFacts, ...]
    systems: tuple[SystemScores, ...]
    differences: tuple[Difference, ...]
    weights: tuple[Weight, ...]
    left_out: tuple[LeftOut, ...]
    costs: tuple[Cost, ...]
    crossed: CrossDataset | None
    reliability: tuple[Reliability, ...]
    warnings: tuple[str, ...]
    rivals: tuple[Difference, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row for each system, data set and metric, for a CSV file or a data frame; None where there is no number."""
        return [
            {
                "set": set_name,
                "system": system.name,
                "kind": system.kind,
                "method": system.method,
                "tiers": system.tiers,
                "chosen": system.chosen,
                "metric": metric,
                "value": _number(each.value),
                "low": each.low,
                "high": each.high,
                "n": each.n,
                "note": each.note,
            }
            for system in self.systems
            for set_name, results in system.results.items()
            for metric, each in results.items()
        ]

    def csv(self) -> str:
        """Returns `rows()` as CSV, with a header."""
        file = io.StringIO()
        rows = self.rows()
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()

    def to_json(self) -> dict[str, Any]:
        """Returns everything in it as JSON types; what is not defined, such as an AUC of one class, is null."""
        return _plain(asdict(self))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> EnsembleReport:
        """Reads what `to_json` wrote."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(_defined(document))

    def grids(self) -> list[Grid]:
        """Returns all tables, each with its title."""
        grids = [grid for facts in self.sets for grid in score_grids(facts, self.systems)]
        if self.differences:
            grids.append(difference_grid(self.differences))
        if self.weights:
            grids.append(weight_grid(self.weights))
        if self.left_out:
            grids.append(left_out_grid(self.left_out))
        if self.crossed is not None:
            grids += self.crossed.grids()
        if self.costs:
            grids.append(cost_grid(self.costs))
        return grids

    def table(self) -> str:
        """Returns verdict, tables, notes and warnings as text."""
        return "\n\n".join([self.sentence, *(grid.text() for grid in self.grids()), "\n".join(self.notes())])

    def markdown(self) -> str:
        """Returns the same for a card."""
        return "\n\n".join([self.sentence, *(grid.markdown() for grid in self.grids()), *self.notes()])

    def __str__(self) -> str:
        return self.table()

    def notes(self) -> Iterator[str]:
        """Yields what belongs below the tables: how to read them, and the warnings."""
        yield (
            "Members and family means as they are, combinations with their temperatures (stacking has none). * the chosen combination. "
            "Out of fold, an AUC compares rows of one fold only, since each fold has weights and temperatures of its own: it is the "
            "mean of the folds' AUCs, weighted by their pairs, for all systems alike. An interval of fitted weights covers other "
            "rows, not another fit. In brackets after an ECE: what a perfectly calibrated model would "
            "stay below in 97.5 % of samples. Each interval covers 95 % for itself; of many, some miss by chance."
        )
        yield from (each.note for each in self.costs if each.note)
        yield from (f"Warning: {warning}" for warning in self.warnings)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _defined(value: Any) -> Any:
    """A value that was null was NaN; bounds that are null are not known."""
    if isinstance(value, Mapping):
        return {name: math.nan if name == "value" and each is None else _defined(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_defined(each) for each in value]
    return value
