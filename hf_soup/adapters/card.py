"""The card of an adapter that was made here: from what, how, how much was kept, and how to load it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_soup.adapters.common_base import is_local
from hf_soup.adapters.record import AdapterRecord
from hf_soup.markdown_table import cell, markdown_table
from hf_soup.publishing.card_front_matter import TAGS
from hf_soup.publishing.card_tables import ingredient_link
from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.ingredient_cards import IngredientCard, agreed, union
from hf_soup.publishing.licences import Licence

_TEMPLATE = Path(__file__).with_name("adapter_card.md.jinja")
_HOMEPAGE = "https://pypi.org/project/hf-soup"
_PEFT_CLASS = {
    "CAUSAL_LM": "AutoPeftModelForCausalLM",
    "FEATURE_EXTRACTION": "AutoPeftModelForFeatureExtraction",
    "QUESTION_ANS": "AutoPeftModelForQuestionAnswering",
    "SEQ_2_SEQ_LM": "AutoPeftModelForSeq2SeqLM",
    "SEQ_CLS": "AutoPeftModelForSequenceClassification",
    "TOKEN_CLS": "AutoPeftModelForTokenClassification",
}


def adapter_card(
    record: AdapterRecord,
    cards: Sequence[IngredientCard],
    config: dict[str, Any],
    licence: Licence | None,
    target: str = "path/to/this/folder",
) -> str:
    """Returns README.md, which depends on the arguments alone. `config`: adapter_config.json. `target`: for the code."""
    return join_front_matter(front_matter(record, cards, licence), _body(record, config, target))


def front_matter(record: AdapterRecord, cards: Sequence[IngredientCard], licence: Licence | None) -> dict[str, Any]:
    """Returns the YAML head as a mapping. `cards`: of the ingredients; `base_model` does not depend on them."""
    base = None if is_local(record.base) else record.base.name
    # Of an extraction the ingredients are a full model and the base itself.
    merged = record.form != "extract"
    others = [one.repo_id for one in record.ingredients if one.repo_id]
    fields = {
        "base_model": list(dict.fromkeys(name for name in [base, *(others if merged else [])] if name)),
        "base_model_relation": ("merge" if merged else "adapter") if base else None,
        "library_name": "peft",
        "pipeline_tag": agreed(card.pipeline_tag for card in cards),
        "language": union(card.languages for card in cards),
        "datasets": union(card.datasets for card in cards),
        **(licence.front_matter() if licence else {}),
        "tags": ["lora", *(TAGS if merged else ("hf-soup",))],
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _body(record: AdapterRecord, config: dict[str, Any], target: str) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        what=kind_of_adapter(record),
        base=base_line(record),
        other_base=record.base_is_theirs is False,
        ingredients="\n".join(ingredient_rows(record)),
        negative=record.form != "extract" and any(weight < 0 for weight in record.weights),
        energy=f"{record.energy:.2%}",
        exact=record.form == "concat",
        modules="\n".join(module_rows(record)),
        replaced=[cell(name) for name in record.replaced],
        left_out=[f"`{cell(name)}` (‖difference‖ {norm:.3g})" for name, norm in record.left_out.items()],
        code=_code(record, config, target),
        version=record.hf_soup,
        homepage=_HOMEPAGE,
    )


def kind_of_adapter(record: AdapterRecord) -> str:
    """Returns the card's first sentence, which begins with "A LoRA of"."""
    count = len(record.ingredients)
    ranks = sorted({module.rank for module in record.modules.values()})
    rank = (f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}") if ranks else "no rank"
    adapters = f"{count} LoRA adapters" if count > 1 else "one LoRA adapter"
    if record.form == "concat":
        return f"A LoRA of {rank} that is **exactly** the weighted sum of the updates of {adapters}: their factors beside each other."
    if record.form == "svd":
        return f"A LoRA of {rank}: for each module the best one of its rank for the weighted sum of the updates of {adapters}."
    return f"A LoRA of {rank}, extracted from a full fine-tune: for each module the low-rank part of its difference to the base."


def base_line(record: AdapterRecord) -> str:
    """Returns the line that names the base model."""
    if record.base.name is None:
        return "Base model: not stated by the adapters."
    if is_local(record.base):
        return "Base model: a folder on the author's machine."
    commit = f" at `{cell(record.base.revision)}`" if record.base.revision else ""
    return f"Base model: `{cell(record.base.name)}`{commit}."


def ingredient_rows(record: AdapterRecord) -> list[str]:
    """Returns the lines of the table of ingredients, commits and weights."""
    rows = []
    for one, weight in zip(record.ingredients, record.weights, strict=True):
        commit = f"`{one.revision}`" if one.revision else f"none; digest `{one.fingerprint[:16]}`"
        rows.append([ingredient_link(one), commit, f"{weight:.4f}".replace("-", "−")])
    return markdown_table(["Ingredient", "Commit", "Weight"], rows, numbers=1)


def module_rows(record: AdapterRecord) -> list[str]:
    """Returns the lines of the table of what was kept by module."""
    rows = [
        [f"`{cell(name)}`", str(one.rank), f"{one.energy:.2%}", _norm(one.norm), _norm(one.error)]
        for name, one in record.modules.items()
    ]
    return markdown_table(["Module", "Rank", "Energy kept", "‖ΔW‖", "Error"], rows, numbers=4)


def _norm(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _code(record: AdapterRecord, config: dict[str, Any], target: str) -> str:
    kind = _PEFT_CLASS.get(str(config.get("task_type")))
    if kind is not None:
        return f"from peft import {kind}\n\nmodel = {kind}.from_pretrained({json.dumps(target)})"
    base = "path/to/the/base" if is_local(record.base) or record.base.name is None else record.base.name
    revision = f", revision={json.dumps(record.base.revision)}" if record.base.revision else ""
    return "\n".join(
        [
            "from peft import PeftModel",
            "from transformers import AutoModel  # or the class that the adapters were trained with",
            "",
            f"base = AutoModel.from_pretrained({json.dumps(base)}{revision})",
            f"model = PeftModel.from_pretrained(base, {json.dumps(target)})",
        ]
    )
