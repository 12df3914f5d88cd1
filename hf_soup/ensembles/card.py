"""The card of an ensemble: who votes, how votes count, what is known about the result, how to use and check it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence.tables import score_grids
from hf_soup.ensembles.evidence.verdict_from_figures import judged_set
from hf_soup.ensembles.record import ENSEMBLE_RECORD, DataRecord, EnsembleRecord, MemberRecord
from hf_soup.ensembles.report import EnsembleReport
from hf_soup.evaluation.estimates import Estimate
from hf_soup.markdown_table import cell, markdown_table
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.card import licence_note
from hf_soup.publishing.card_front_matter import dataset_type
from hf_soup.publishing.card_tables import ingredient_link
from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.ingredient_cards import IngredientCard, agreed, union
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.private_names import is_hidden

TAGS = ("ensemble", "hf-soup")
VERDICT = "**Verdict.** "
"""How the line begins that says what the evidence comes to."""
_TEMPLATE = Path(__file__).with_name("ensemble_card.md.jinja")
_HOMEPAGE = "https://pypi.org/project/hf-soup"
_LOCAL_TARGET = "path/to/this/folder"
_SHOWN_CLASSES = 20
_METRICS = ("accuracy", "f1_macro", "auc", "nll", "ece")
_TIER1 = {
    "mean": "the mean of its members' probabilities",
    "logit_mean": "the softmax of the mean of its members' log-probabilities",
    "soup": "one model with the mean of its members' weights",
}
_TIER2 = {
    "learned": "weights that minimise the negative log-likelihood of the mixture",
    "per_class": "weights of their own for every class, which minimise the negative log-likelihood",
    "equal": "equal weights",
    "best_single": "all weight on the one that is best alone",
    "caruana": "weights from greedy selection with replacement (Caruana et al. 2004)",
    "stacking": "an L2-regularised logistic regression on their log-probabilities",
}


def ensemble_card(
    record: EnsembleRecord,
    cards: Sequence[IngredientCard],
    licence: Licence | None,
    repo_id: str | None = None,
    pictures: Sequence[tuple[str, str]] = (),
    secret: Collection[str] = (),
) -> str:
    """Returns README.md, which depends on the arguments alone.

    `cards`: one for each of `record.ingredients`, in that order. `pictures`: file names and what they show. `secret`: names of
    models whose cards are private. Names that must not stand in it are hidden in the record before.
    """
    return join_front_matter(
        front_matter(record, cards, licence, repo_id, secret), _body(record, cards, licence, repo_id, pictures, secret)
    )


def front_matter(
    record: EnsembleRecord,
    cards: Sequence[IngredientCard],
    licence: Licence | None,
    repo_id: str | None = None,
    secret: Collection[str] = (),
) -> dict[str, Any]:
    """Returns the YAML head as a mapping; `base_model` and `model-index` depend on the record alone."""
    bases = base_models(record)
    results = model_index_results(record)
    fields: dict[str, Any] = {
        "base_model": bases,
        "base_model_relation": "merge" if bases else None,  # of the Hub's four relations the one for several models
        "library_name": "hf-soup",
        "pipeline_tag": record.task or agreed(card.pipeline_tag for card in cards),
        "language": union(card.languages for card in cards),
        "datasets": union(card.datasets for card in cards if card.name not in secret),
        **(licence.front_matter() if licence else {}),
        "tags": list(TAGS),
        "model-index": [{"name": repo_id.split("/")[-1] if repo_id else "ensemble", "results": results}]
        if results
        else None,
    }
    return {name: value for name, value in fields.items() if value not in (None, [])}


def base_models(record: EnsembleRecord) -> list[str]:
    """Hub IDs of the members, and of what fine-tuned members came of."""
    return list(dict.fromkeys(one.repo_id for one in (*record.ingredients, *record.sources) if one.repo_id))


def model_index_results(record: EnsembleRecord) -> list[dict[str, Any]]:
    """Returns a result of the chosen combination for each data set, with rows and intervals."""
    if record.evidence is None:
        return []
    report = EnsembleReport.from_json(record.evidence)
    chosen = next((system for system in report.systems if system.chosen), None)
    if chosen is None:
        return []
    files = {one.name: one.data or one.name for one in record.data}
    results = []
    for facts in report.sets:
        found = chosen.results.get(facts.name, {})
        metrics = [
            _metric(name, found[name]) for name in _METRICS if name in found and found[name].value == found[name].value
        ]
        if metrics:
            where = "out of fold on the fitting rows" if facts.role == "fit" else facts.name
            dataset = {"name": f"{files.get(facts.name, facts.name)} ({where}, {facts.rows} rows)"}
            dataset |= {"type": dataset_type(files.get(facts.name, facts.name)), "split": facts.name}
            results.append({"task": {"type": record.task or "other"}, "dataset": dataset, "metrics": metrics})
    return results


def member_table(record: EnsembleRecord) -> list[str]:
    """Returns the lines of the table of members, commits and weights."""
    combination = Combination.from_json(record.combination)
    shares = combination.member_weights() if combination.weights is not None else None
    rows = []
    for family in record.families:
        for member in family.members:
            share = None if shares is None else shares.get(member.name)
            rows.append(
                [cell(family.name), _linked(member), _commits(member), "–" if share is None else f"{share:.4f}"]
            )
    return markdown_table(["Family", "Member", "Commit", "Weight"], rows, numbers=1)


def _body(
    record: EnsembleRecord,
    cards: Sequence[IngredientCard],
    licence: Licence | None,
    repo_id: str | None,
    pictures: Sequence[tuple[str, str]],
    secret: Collection[str],
) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    target = repo_id or _LOCAL_TARGET
    report = EnsembleReport.from_json(record.evidence) if record.evidence is not None else None
    unpublished = list(_unpublished(record))
    masked = [one for one in unpublished if is_hidden(one)]
    ready_made = all(member.source == "predictions" for member in record.members)
    judged_by, others = _tables(report) if report is not None else ([], [])
    return template.render(
        title=repo_id.split("/")[-1] if repo_id else "Ensemble",
        what=_what(record),
        homepage=_HOMEPAGE,
        version=record.hf_soup,
        bundle=record.is_bundle,
        record=ENSEMBLE_RECORD,
        members="\n".join(member_table(record)),
        hidden=len(masked),
        locals=len(unpublished) - len(masked),
        functions=[f"`{cell(member.name)}`" for member in record.members if member.source == "function"],
        ready_made=ready_made,
        finetuned=_finetuned(record),
        combined=_combined(record),
        classes=_classes(record.classes),
        verdict=VERDICT + report.sentence if report is not None else "",
        evidence="\n\n".join(judged_by) if report is not None else "",
        more="\n\n".join(others),
        tables=len(others),
        footnotes="\n\n".join(report.notes()) if report is not None else "",
        pictures=pictures,
        sets=list(data_lines(record).values()),
        untested=list(_untested(record, report)) if report is not None else [],
        code=_code(record, target, ready_made),
        command="" if ready_made else f"hf-soup ensemble predict {target} rows.csv -o predictions.csv",
        using=_using(record, ready_made),
        supply=_supply(record),
        models=bool(record.ingredients),
        verify=" ".join([f"hf-soup verify {target}", *_ingredient_options(record)]),
        recompute=_recompute(record, ready_made),
        licence_note=licence_note(cards, licence, set(secret)),
    )


def _unpublished(record: EnsembleRecord) -> Iterator[IngredientRecord]:
    """Models without a repository, each once; not those that were trained for this ensemble and lie in its own."""
    there = {
        model.fingerprint
        for member in record.members
        if member.folder is not None and record.start_of(member) is not None
        for model in member.models
    }
    for one in record.ingredients:
        if one.repo_id is None and one.fingerprint not in there:
            yield one


def _what(record: EnsembleRecord) -> str:
    members, families = len(record.members), len(record.families)
    voters = "models" if any(member.models for member in record.members) else "members"
    task = f" for {record.task}" if record.task else ""
    if families == members or record.combination.get("tiers") == "flat":
        return f"An **ensemble** of {members} {voters}{task}: their probabilities are combined."
    return f"A two-tier **ensemble** of {members} {voters} in {families} families{task}: their probabilities are combined."


def _combined(record: EnsembleRecord) -> str:
    combination = Combination.from_json(record.combination)
    flat = combination.tiers == "flat"
    several = any(len(family.members) > 1 for family in record.families) or combination.tier1 == "soup"
    first = "" if flat or not several else f"A family says {_TIER1[combination.tier1]}. "
    of = "members" if flat or not several else "families"
    text = f"{first}What {of} say is joined with {_TIER2[combination.method]}."
    if combination.weights and not flat and several:
        text += f" Weights of the families: {', '.join(f'{cell(name)} {weight:.4f}' for name, weight in combination.weights.items())}."
    tempered = {name: value for name, value in combination.temperatures.items() if value != 1.0}
    if tempered:
        shown = ", ".join(f"{cell(name)} {value:.4g}" for name, value in combination.temperatures.items())
        text += f" Temperatures, by which log-probabilities are divided before: {shown}."
    fitted = [one for one in record.data if one.role == "fit"]
    if fitted and combination.method != "equal":
        text += f" Fitted on `{cell(fitted[0].data or fitted[0].name)}` ({fitted[0].rows:,} rows)."
    return text


def _finetuned(record: EnsembleRecord) -> str:
    """How the members were trained together, and from which models; empty where they were not."""
    found = record.finetuning
    if found is None:
        return ""
    began = [f"{_link(one)} at `{one.revision}`" for one in found.starts.values() if one.revision]
    began += [_link(one) for one in found.starts.values() if is_hidden(one)]
    local = len(found.starts) - len(began)
    if local:
        began.append(f"{local} {'folder' if local == 1 else 'folders'} on the author's machine")
    origins = [_link(one) for one in found.origins]
    made = f", made of {', '.join(dict.fromkeys(origins))}" if origins else ""
    parts = (cell(found.sentence()), found.harmed, f"They began as {', '.join(dict.fromkeys(began))}{made}.")
    return " ".join(part for part in parts if part)


def data_lines(record: EnsembleRecord) -> dict[str, str]:
    """Returns what the card says of each data set, by what the line begins with."""
    return {_begin(one): _set(one) for one in record.data}


def derived_lines(record: EnsembleRecord) -> list[str]:
    """Returns the lines of the card in words, beside those of the report, that depend on the record alone."""
    report = EnsembleReport.from_json(record.evidence) if record.evidence is not None else None
    untested = [f"- {line}" for line in _untested(record, report)] if report is not None else []
    data = list(data_lines(record).values()) if report is not None else []
    verdict = [VERDICT + report.sentence] if report is not None else []
    return [line for line in (*verdict, _combined(record), _finetuned(record), *data, *untested) if line]


def _begin(one: DataRecord) -> str:
    return f"- **{cell(one.name)}**: "


def _set(one: DataRecord) -> str:
    role = "the weights were fitted on these rows" if one.role == "fit" else "not used for any decision"
    file = f"`{cell(one.data)}`" if one.data else "given in Python"
    return f"{_begin(one)}{file}, {one.rows:,} rows, digest `{one.fingerprint[:16]}`; {role}."


def _untested(record: EnsembleRecord, report: EnsembleReport | None) -> Iterator[str]:
    tests = [one for one in record.data if one.role == "test"]
    if not tests:
        yield "Other rows than those that the weights were fitted on: there was no test set, every figure is out of fold on the fitting rows."
    else:
        yield "Data from elsewhere than the sets above: other sources, languages, devices or times."
    if report is not None and all(facts.groups is None for facts in report.sets):
        yield "Rows that belong together (of one document, video or author): each row was taken for itself."
    if record.finetuning is not None and len(record.finetuning.epochs) > 1:
        yield (
            "Rows that decided nothing about the training, for figures on the fitting rows: these chose its epoch, so they flatter a "
            "little."
        )
    yield "Parts of the data, such as classes or groups of people: the figures are about all rows of a set."
    if report is not None and not any(cost.seconds_per_row for cost in report.costs):
        yield "Speed: no time was measured."


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{cell(name)}`" for name in names[:_SHOWN_CLASSES])
    return shown + (f", … ({len(names)} in all)" if len(names) > _SHOWN_CLASSES else "")


def _linked(member: MemberRecord) -> str:
    if not member.models:
        return cell(member.name)
    if len(member.models) > 1:
        return "soup of " + ", ".join(_link(model) for model in member.models)
    return _link(member.models[0])


def _link(model: IngredientRecord) -> str:
    return ingredient_link(model) + (" (LoRA adapter)" if model.adapter_of is not None else "")


def _commits(member: MemberRecord) -> str:
    if not member.models:
        return "none"
    return ", ".join(
        f"`{model.revision}`" if model.revision else f"none; digest `{model.fingerprint[:16]}`"
        for model in member.models
    )


def _code(record: EnsembleRecord, target: str, ready_made: bool) -> str:
    supplied = record.supplied()
    members = f", members={{{', '.join(f'{name!r}: …' for name in supplied)}}}" if supplied else ""
    lines = ["from hf_soup import Ensemble", "", f'ensemble = Ensemble.from_pretrained("{target}"{members})']
    column = "image" if record.task == "image-classification" else "text"
    arrays = {family.name: f"[{', '.join(['…'] * len(family.members))}]" for family in record.families}
    given = ", ".join(f'"{cell(name)}": {those}' for name, those in arrays.items())
    rows = f"{{{given}}}" if ready_made else f'[{{"{column}": "…"}}]'
    return "\n".join([*lines, f"predictions = ensemble.predict({rows})"])


def _using(record: EnsembleRecord, ready_made: bool) -> str:
    if ready_made:
        return (
            "It combines predictions, arrays (rows, classes), that you make with the same members; no model is loaded."
        )
    if record.is_bundle:
        return "No remote code is run: `hf-soup` reads the record and loads the members from this repository."
    return "No remote code is run: `hf-soup` reads the record and loads the members at their commits."


def _supply(record: EnsembleRecord) -> str:
    return ", ".join(f"`{cell(name)}`" for name in record.supplied())


def _ingredient_options(record: EnsembleRecord) -> list[str]:
    models = dict.fromkeys(
        model.name
        for member in record.members
        if member.folder is None
        for model in member.models
        if model.repo_id is None
    )
    return [f"--ingredient '{cell(name)}=DIR'" for name in models]


def _recompute(record: EnsembleRecord, ready_made: bool) -> str:
    if not record.data:
        return ""
    files = [f"--data {_quoted(one.data)}" for one in record.data if one.data]
    if not files:
        data = "MemberProbabilities.of(…)" if ready_made else "HeldOut(…)"
        return (
            f"The rows were given in Python; who has them gives them there again, `verify(…, data={data})`, and weights and figures are "
            "computed again."
        )
    if not ready_made:
        return f"With `{' '.join(files)}`, weights and figures are computed again from the members' predictions."
    files += [
        f"--predictions {_quoted(family.name + '=' + ','.join(['FILE'] * len(family.members)))}"
        for family in record.families
    ]
    return (
        f"With `{' '.join(files)}`, each FILE with the predictions of a member in the order of the table above, weights and figures are "
        "computed again."
    )


def _quoted(word: str) -> str:
    """As one word of a command line; a name must not end the code that it stands in."""
    return shlex.quote(word.replace("`", "'").replace("\n", " "))


def _tables(report: EnsembleReport) -> tuple[list[str], list[str]]:
    """Returns (what the verdict is about: the scores on its set, all others)."""
    first = [grid.markdown() for grid in score_grids(judged_set(report), report.systems)]
    return first, [table for grid in report.grids() if (table := grid.markdown()) not in first]


def _metric(name: str, found: Estimate) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": name, "value": found.value}
    if name != "ece" and found.low is not None and found.high is not None:
        metric["name"] = f"{name} (95% interval {found.low:.4g} to {found.high:.4g})"
    return metric
