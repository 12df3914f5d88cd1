"""An ensemble's record as it may be published where private models must not be named."""

from __future__ import annotations

from collections.abc import Mapping

from hf_soup.ensembles.record import EnsembleRecord, FineTuningRecord, MemberRecord
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.private_names import masked, replaced, replacements_for


def models_and_bases(record: EnsembleRecord) -> list[IngredientRecord]:
    """Returns every model that the record names, with those that fine-tuned members came of and the bases of adapters."""
    models = [*record.ingredients, *record.sources]
    return [*models, *(one.adapter_of for one in models if one.adapter_of is not None)]


def without_private_names(record: EnsembleRecord, hidden: frozenset[str]) -> EnsembleRecord:
    """Returns the record with an alias, made from the weights' digest, for each model in a repository among `hidden`."""
    names = replacements_for(models_and_bases(record), hidden)
    if not names:
        return record

    def member(one: MemberRecord) -> MemberRecord:
        models = [masked(model, hidden) for model in one.models]
        # A fine-tuned model has no repository, and may be called after one.
        models = [model.model_copy(update={"name": replaced(model.name, names)}) for model in models]
        origins = [masked(model, hidden) for model in one.origins]
        return one.model_copy(update={"name": replaced(one.name, names), "models": models, "origins": origins})

    families = [
        family.model_copy(
            update={
                "name": replaced(family.name, names),
                "members": [member(one) for one in family.members],
            }
        )
        for family in record.families
    ]
    return record.model_copy(
        update={
            "families": families,
            "finetuning": _finetuning(record, hidden, names),
            "combination": replaced(record.combination, names),
            "evidence": replaced(record.evidence, names),
        }
    )


def _finetuning(record: EnsembleRecord, hidden: frozenset[str], names: Mapping[str, str]) -> FineTuningRecord | None:
    found = record.finetuning
    if found is None:
        return None
    starts = {replaced(name, names): masked(model, hidden) for name, model in found.starts.items()}
    epochs = [epoch.model_copy(update={"weights": replaced(epoch.weights, names)}) for epoch in found.epochs]
    origins = [masked(model, hidden) for model in found.origins]
    return found.model_copy(update={"starts": starts, "origins": origins, "epochs": epochs})
