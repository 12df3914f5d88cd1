"""The tables of a card, line by line, so that `verify` can look for the very same lines in a published one."""

from __future__ import annotations

import math
from typing import Any

from hf_soup.markdown_table import cell, markdown_table
from hf_soup.merging.record import IngredientRecord, SoupRecord
from hf_soup.selection.evidence import FRACTIONS, difference, number


def ingredient_table(record: SoupRecord) -> list[str]:
    """Who went in, at which commit, with which share."""
    columns = _per_model_parameters(record)
    rows = []
    for index, ingredient in enumerate(record.ingredients):
        values = [f"{values[index]:.4f}" for values in columns.values()]
        kind = " (LoRA adapter)" if ingredient.adapter_of is not None else ""
        rows.append([ingredient_link(ingredient) + kind, _commit(ingredient), *values])
    return markdown_table(["Ingredient", "Commit", *columns], rows, numbers=len(columns))


def adapter_base_table(record: SoupRecord) -> list[str]:
    """The bases of adapters among the ingredients, each once; no lines where there are none."""
    bases = [one.adapter_of for one in record.ingredients if one.adapter_of is not None]
    rows = dict.fromkeys((ingredient_link(base), _commit(base)) for base in bases)
    return markdown_table(["Base of the adapters", "Commit"], [*rows]) if rows else []


def ingredient_link(ingredient: IngredientRecord) -> str:
    if ingredient.repo_id is None:
        return cell(ingredient.name)
    folder = f"/{ingredient.subfolder}" if ingredient.subfolder else ""
    return f"[{cell(ingredient.name)}]({hub_address()}/{ingredient.repo_id}/tree/{ingredient.revision}{folder})"


def hub_address() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def evidence_table(evidence: dict[str, Any]) -> list[str]:
    """A line for each model that was evaluated, a column for each set, values with their intervals."""
    sets = [row["name"] for row in evidence.get("sets", [])]
    metric = str(evidence.get("metric"))
    rows = []
    for row in evidence.get("rows", []):
        results = row.get("results", {})
        emphasis = "**" if row.get("chosen") and row.get("kind") != "ingredient" else ""
        note = f" ({cell(row['note'])})" if row.get("note") else ""
        same = row.get("kind") in (None, row["name"])
        name = f"{emphasis}{cell(row['name'])}{emphasis}{note}"
        rows.append(["" if same else cell(row["kind"]), name, *(estimate(results.get(one), metric) for one in sets)])
    return markdown_table(["", "Model", *(cell(one) + _unit(metric) for one in sets)], rows, numbers=len(sets))


def difference_table(evidence: dict[str, Any]) -> list[str]:
    """Paired differences, each with its interval."""
    metric = str(evidence.get("metric"))
    rows = [
        [cell(d["set"]), f"{cell(d['of'])} − {cell(d['against'])}", estimate(d, metric, signed=True)]
        for d in evidence.get("differences", [])
    ]
    return markdown_table(["Set", "Difference", "Points" if metric in FRACTIONS else "Value"], rows, numbers=1)


def step_table(selection: dict[str, Any]) -> list[str]:
    """The path of the selection: what was tried, in which order, and what came of it."""
    names = [candidate["name"] for candidate in selection["candidates"]]
    metric = str(selection["metric"])
    rows = [
        [
            str(place),
            cell(names[step["candidate"]]),
            str(len(step["subset"])),
            _shown(step["score"], metric, signed=False),
            "kept" if step["accepted"] else "left out",
        ]
        for place, step in enumerate(selection["steps"], 1)
    ]
    return markdown_table(["Step", "Tried", "Models in the soup", cell(metric) + _unit(metric), ""], rows)


def estimate(result: dict[str, Any] | None, metric: str, signed: bool = False) -> str:
    """Returns `88.50 [86.01, 90.99]`, fractions in percent; only the value where no interval is known."""
    if result is None:
        return "–"
    value, low, high = result.get("value"), result.get("low"), result.get("high")
    if low is None or high is None:
        return _shown(value, metric, signed)
    return f"{_shown(value, metric, signed)} [{_shown(low, metric, signed)}, {_shown(high, metric, signed)}]"


def _shown(value: float | None, metric: str, signed: bool) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return (difference if signed else number)(value, metric).replace("-", "−")


def _unit(metric: str) -> str:
    return " (%)" if metric in FRACTIONS else ""


def _per_model_parameters(record: SoupRecord) -> dict[str, list[Any]]:
    """Weights as the shares that enter the sum; other parameters as they are."""
    from hf_soup.methods import METHODS

    method = METHODS.get(record.method)
    per_model = method.per_model if method else frozenset()
    columns = {}
    for name, values in record.parameters.items():
        if name not in per_model or not isinstance(values, list) or len(values) != len(record.ingredients):
            continue
        if name == "weight" and record.parameters.get("normalize"):
            total = math.fsum(values)
            values = [value / total for value in values]
        columns[name] = [float(value) for value in values]
    return columns


def _commit(ingredient: IngredientRecord) -> str:
    return f"`{ingredient.revision}`" if ingredient.revision else f"none; digest `{ingredient.fingerprint[:16]}`"
