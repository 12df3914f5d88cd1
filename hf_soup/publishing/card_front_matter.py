"""The front matter of a merge's card, from its record and the ingredients' cards.

Specification: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from hf_soup.merging.record import SoupRecord
from hf_soup.publishing.architectures import usage_of
from hf_soup.publishing.ingredient_cards import IngredientCard, agreed, union
from hf_soup.publishing.licences import Licence

TAGS = ("merge", "model-soup", "hf-soup")


def card_front_matter(
    record: SoupRecord,
    cards: Sequence[IngredientCard],
    config: dict[str, Any],
    licence: Licence | None,
    repo_id: str | None,
    secret: Collection[str] = (),
) -> dict[str, Any]:
    """Returns the metadata in the order in which it is written; fields of which nothing is known are left out.

    `secret`: names of ingredients whose cards are private; the data sets that they name stay unnamed.
    """
    usage = usage_of(config)
    libraries = agreed(card.library_name for card in cards)
    base_models = list(dict.fromkeys(one.repo_id for one in record.ingredients if one.repo_id))
    results = _results(record)
    fields: dict[str, Any] = {
        "base_model": base_models,
        "base_model_relation": "merge" if base_models else None,
        "library_name": "transformers" if usage else libraries,
        "pipeline_tag": agreed(card.pipeline_tag for card in cards) or (usage.pipeline_tag if usage else None),
        "language": union(card.languages for card in cards),
        "datasets": union(card.datasets for card in cards if card.name not in secret),
        **(licence.front_matter() if licence else {}),
        "tags": list(TAGS),
        "model-index": [{"name": repo_id.split("/")[-1] if repo_id else "model-soup", "results": results}]
        if results
        else None,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def published_row(record: SoupRecord) -> dict[str, Any] | None:
    """Returns the row of the evidence that is about the published model, None where it was not evaluated."""
    rows = [row for row in (record.evidence or {}).get("rows", []) if row.get("chosen")]
    return next((row for row in rows if row.get("kind") != "ingredient"), None)


def _results(record: SoupRecord) -> list[dict[str, Any]]:
    """A result for each set: which data, how many rows, and the interval beside the value."""
    row, evidence = published_row(record), record.evidence or {}
    if row is None:
        return []
    task = ((record.selection or {}).get("data") or {}).get("task") or evidence.get("task") or "other"
    results = []
    for one in evidence.get("sets", []):
        found = row.get("results", {}).get(one["name"])
        if not found or found.get("value") is None:
            continue
        metric: dict[str, Any] = {"type": evidence["metric"], "value": found["value"]}
        if found.get("low") is not None and found.get("high") is not None:
            metric["name"] = (
                f"{evidence['metric']} ({evidence.get('confidence', 0.95):.0%} interval {found['low']:.4g} to {found['high']:.4g})"
            )
        rows = found.get("n") or one.get("rows")  # a score command has none
        size = f", {rows} rows" if rows else ""
        dataset = {"name": f"{one.get('data') or one['name']} ({one['name']}{size})"}
        dataset |= {"type": dataset_type(str(one.get("data") or one["name"])), "split": one["name"]}
        results.append({"task": {"type": task}, "dataset": dataset, "metrics": [metric]})
    return results


def dataset_type(data: str) -> str:
    """The Hub's ID of a data set, or for a file its name in the characters that an ID may have."""
    if re.fullmatch(r"[\w.-]+/[\w.-]+", data, re.ASCII):
        return data
    return re.sub(r"[^\w.-]+", "-", data, flags=re.ASCII).strip("-") or "unnamed"
