"""The model card of a merge: what was done, what is known about the result, and how to check both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_soup.merging.record import SoupRecord
from hf_soup.publishing.card_front_matter import card_front_matter
from hf_soup.publishing.card_tables import (
    adapter_base_table,
    cell,
    difference_table,
    evidence_table,
    ingredient_link,
    ingredient_table,
    step_table,
)
from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.ingredient_cards import IngredientCard, common_ancestor
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.loading_code import loading_code
from hf_soup.publishing.private_names import is_hidden, named_models, without_names
from hf_soup.selection.evidence import FRACTIONS

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_HOMEPAGE = "https://pypi.org/project/hf-soup"
_LOCAL_TARGET = "path/to/this/folder"


def render_card(
    record: SoupRecord,
    cards: Sequence[IngredientCard],
    config: dict[str, Any],
    licence: Licence | None,
    repo_id: str | None = None,
    plot: str | None = None,
    name_private: bool = False,
    private: frozenset[str] = frozenset(),
) -> str:
    """Returns README.md. It depends on the arguments alone: the same record gives the same bytes.

    `cards`: one for each recorded ingredient, in that order. `config`: the merged model's config.json. `plot`: file name
    of the picture of the selection beside the card. `private`: Hub IDs that must not be named; with `name_private` they
    are. A record whose names are hidden already (`without_names`) may be given as well.
    """
    hidden = frozenset() if name_private else private
    alias = dict(zip((one.name for one in record.ingredients), without_names(record, hidden).ingredients, strict=True))
    secret = {name for name, ingredient in alias.items() if ingredient.name != name}
    record = without_names(record, hidden)
    metadata = card_front_matter(record, cards, config, licence, repo_id, secret)
    body = _template().render(_facts(record, cards, config, licence, repo_id, plot, secret, hidden))
    return join_front_matter(metadata, body)


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    # No escaping: the output is Markdown, and everything that others named goes through `cell`.
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _facts(
    record: SoupRecord,
    cards: Sequence[IngredientCard],
    config: dict[str, Any],
    licence: Licence | None,
    repo_id: str | None,
    plot: str | None,
    secret: set[str],
    hidden: frozenset[str],
) -> dict[str, Any]:
    from hf_soup.methods import method_named

    method = method_named(record.method)
    evidence = record.evidence or {}
    selection = record.selection if record.selection and record.selection.get("steps") else None
    target = repo_id or _LOCAL_TARGET
    unpublished = [one for one in record.ingredients if one.repo_id is None]
    masked = [one for one in unpublished if is_hidden(one)]
    supplied = dict.fromkeys(one.name for one in named_models(record) if one.repo_id is None)
    return {
        "title": repo_id.split("/")[-1] if repo_id else "Model soup",
        "what": _what(record),
        "method": method.name,
        "homepage": _HOMEPAGE,
        "version": record.hf_soup,
        "summary": method.summary,
        "source": method.source,
        "ingredients": "\n".join(ingredient_table(record)),
        "adapters": _adapters(record),
        "adapter_bases": "\n".join(adapter_base_table(record)),
        "hidden": len(masked),
        "locals": len(unpublished) - len(masked),
        "ancestor": _ancestor(record, cards, secret, hidden),
        "settings": _settings(record),
        "selection": _selection(selection) if selection else "",
        "steps": "\n".join(step_table(selection)) if selection else "",
        "plot": plot,
        "evidence": "\n".join(evidence_table(evidence)) if evidence.get("rows") else "",
        "evidence_lead": _evidence_lead(evidence) if evidence else "",
        "differences": "\n".join(difference_table(evidence)) if evidence.get("differences") else "",
        "statements": [str(statement) for statement in evidence.get("statements", [])],
        "sets": [_set(one) for one in evidence.get("sets", [])],
        "code": loading_code(config, target),
        "verify": " ".join([f"hf-soup verify {target}", *(f"--ingredient '{cell(name)}=DIR'" for name in supplied)]),
        "supply": bool(supplied),
        "device": record.device,
        "licence_note": licence_note(cards, licence, secret),
    }


def _what(record: SoupRecord) -> str:
    count = len(record.ingredients)
    models = f"{count} models" if count != 1 else "one model"
    if record.selection and record.selection.get("algorithm") == "greedy":
        considered = len(record.selection.get("candidates", []))
        return f"A **greedy soup**: the average of {models}, chosen on held-out data from {considered} candidates."
    weights = record.parameters.get("weight")
    if record.method == "linear" and isinstance(weights, list) and len(set(weights)) == 1:
        return f"A **uniform soup**: the average of the weights of {models}."
    if record.method == "linear":
        return f"A **weighted soup**: the weighted average of the weights of {models}."
    return f"A **merge** of {models}."


def _adapters(record: SoupRecord) -> str:
    """A sentence that says which ingredients are adapters, "" where none is."""
    count, total = sum(one.adapter_of is not None for one in record.ingredients), len(record.ingredients)
    if not count:
        return ""
    if total == 1:
        who = "The ingredient is a LoRA adapter"
    else:
        who = f"{'All' if count == total else count} of the ingredients {'are LoRA adapters' if count > 1 else 'is a LoRA adapter'}"
    return f"{who}: what was merged is the base with the adapter's update added to it."


def _ancestor(
    record: SoupRecord, cards: Sequence[IngredientCard], secret: set[str], hidden: frozenset[str]
) -> str | None:
    if record.base is not None:
        return ingredient_link(record.base)
    # A private card's word is not published, and a base that must not be named is not, although public cards name it.
    named = common_ancestor([card for card in cards if card.name not in secret])
    return f"`{named}`, as the ingredients' cards say" if named and named not in hidden else None


def _settings(record: SoupRecord) -> str:
    count = len(record.ingredients)
    values, rules = record.parameters, record.parameters.get("by_tensor")
    if rules is not None:
        values = rules["parameters"]
    shown = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else cell(value)}"
        for name, value in values.items()
        if not (isinstance(value, list) and len(value) == count) or rules is not None
    ]
    if rules is not None:
        shown.append(
            "lists giving one value per model, and a list among them a gradient from the first layer to the last"
        )
    shown.append(f"dtype = {record.dtype}" if record.dtype else "dtype of each tensor as in the ingredients")
    shown.append(f"device = {cell(record.device)}")
    return ", ".join(shown)


def _selection(selection: dict[str, Any]) -> str:
    data = selection.get("data") or {}
    order = (
        f"in random order (seed {selection.get('seed')})"
        if selection.get("order") == "random"
        else "from the best to the worst single score"
    )
    rule = "is better than" if selection.get("rule") == ">" else "is not worse than"
    rows = f" ({data['rows']:,} rows)" if data.get("rows") else ""
    where = f"`{cell(data['name'])}`{rows}" if data.get("name") else "held-out data"
    better = "higher" if selection.get("maximise", True) else "lower"
    return (
        f"The candidates were tried {order}; one was kept when the soup with it {rule} the soup without it in "
        f"{cell(selection['metric'])} ({better} is better) on {where}."
    )


def _evidence_lead(evidence: dict[str, Any]) -> str:
    better = "higher" if evidence.get("maximise", True) else "lower"
    confidence = evidence.get("confidence", 0.95)
    shown = ", in percent" if evidence.get("metric") in FRACTIONS else ""
    return (
        f"Metric: {cell(evidence.get('metric', ''))} ({better} is better){shown}; in brackets the {confidence:.0%} interval. "
        "The published model is in bold."
    )


def _set(one: dict[str, Any]) -> str:
    roles = {
        "held-out": "used for the selection, so scores on it are optimistic",
        "test": "not used for any decision",
        "shift": "another distribution, not used for any decision",
    }
    role = roles.get(one.get("role", ""), "")
    rows = f", {one['rows']:,} rows" if one.get("rows") else ""
    digest = f", digest `{cell(one['fingerprint'])[:16]}`" if one.get("fingerprint") else ""
    return f"**{cell(one['name'])}**: `{cell(one.get('data', ''))}`{rows}{digest}" + (f"; {role}." if role else ".")


def licence_note(cards: Sequence[IngredientCard], licence: Licence | None, secret: set[str]) -> str:
    stated = {str(card.licence) for card in cards if card.licence is not None}
    if licence is None or stated <= {str(licence)}:
        return ""
    listed = [f"{cell(card.name)}: {card.licence or 'none stated'}" for card in cards if card.name not in secret]
    return f"{licence}, chosen by the publisher. The ingredients state: {'; '.join(dict.fromkeys(listed))}."
