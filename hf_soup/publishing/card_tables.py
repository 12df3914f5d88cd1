"""The tables of a card, line by line, so that `verify` can look for the very same lines in a published one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hf_soup.merging.record import IngredientRecord, SoupRecord

_ESCAPES = str.maketrans({"|": "\\|", "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "`": "'"})


def cell(value: object) -> str:
    """Returns text that cannot break out of a table, whatever a folder or a data file is called."""
    return str(value).translate(_ESCAPES)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """Returns the lines of a table whose last `numbers` columns are aligned to the right."""
    marks = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    return [_line(header), _line(marks), *(_line(row) for row in rows)]


def ingredient_table(record: SoupRecord) -> list[str]:
    """Who went in, at which commit, with which share."""
    columns = _per_model_parameters(record)
    rows = []
    for index, ingredient in enumerate(record.ingredients):
        values = [format_number(values[index]) for values in columns.values()]
        rows.append([ingredient_link(ingredient), _commit(ingredient), *values])
    return markdown_table(["Ingredient", "Commit", *columns], rows, numbers=len(columns))


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
    rows = []
    for row in evidence.get("rows", []):
        results = row.get("results", {})
        emphasis = "**" if row.get("chosen") and row.get("kind") != "ingredient" else ""
        note = f" ({cell(row['note'])})" if row.get("note") else ""
        same = row.get("kind") in (None, row["name"])
        name = f"{emphasis}{cell(row['name'])}{emphasis}{note}"
        rows.append(["" if same else cell(row["kind"]), name, *(estimate(results.get(one)) for one in sets)])
    return markdown_table(["", "Model", *(cell(one) for one in sets)], rows, numbers=len(sets))


def difference_table(evidence: dict[str, Any]) -> list[str]:
    """Paired differences, each with its interval."""
    rows = [
        [cell(d["set"]), f"{cell(d['of'])} − {cell(d['against'])}", estimate(d, signed=True)]
        for d in evidence.get("differences", [])
    ]
    return markdown_table(["Set", "Difference", "Value"], rows, numbers=1)


def step_table(selection: dict[str, Any]) -> list[str]:
    """The path of the selection: what was tried, in which order, and what came of it."""
    names = [candidate["name"] for candidate in selection["candidates"]]
    rows = [
        [
            str(number),
            cell(names[step["candidate"]]),
            str(len(step["subset"])),
            format_number(step["score"]),
            "kept" if step["accepted"] else "left out",
        ]
        for number, step in enumerate(selection["steps"], 1)
    ]
    return markdown_table(["Step", "Tried", "Models in the soup", str(selection["metric"]), ""], rows)


def estimate(result: dict[str, Any] | None, signed: bool = False) -> str:
    """Returns `0.885 [0.860, 0.910]`; only the value where no interval is known."""
    if result is None or result.get("value") is None:
        return "–"
    value = format_number(result["value"], signed)
    low, high = result.get("low"), result.get("high")
    if low is None or high is None:
        return value
    return f"{value} [{format_number(low, signed)}, {format_number(high, signed)}]"


def format_number(value: float | int | bool | None, signed: bool = False) -> str:
    """Returns four decimals for what is small, fewer for what is large; integers and truth values as they are."""
    if value is None:
        return "–"
    if isinstance(value, bool | int) and not signed:
        return str(value)
    if not math.isfinite(value):
        return str(value)
    decimals = 4 if abs(value) < 10 else 2
    return f"{value:+.{decimals}f}".replace("-", "−") if signed else f"{value:.{decimals}f}".replace("-", "−")


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


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
