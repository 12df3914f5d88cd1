"""An ensemble's record as it may be published where private models must not be named."""

from __future__ import annotations

from hf_soup.ensembles.record import EnsembleRecord, MemberRecord
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.private_names import masked, replaced, replacements_for


def models_and_bases(record: EnsembleRecord) -> list[IngredientRecord]:
    """Returns every model that the record names, with the bases of adapters."""
    models = record.ingredients
    return [*models, *(one.adapter_of for one in models if one.adapter_of is not None)]


def without_private_names(record: EnsembleRecord, hidden: frozenset[str]) -> EnsembleRecord:
    """Returns the record with an alias, made from the weights' digest, for each model in a repository among `hidden`."""
    names = replacements_for(models_and_bases(record), hidden)
    if not names:
        return record

    def member(one: MemberRecord) -> MemberRecord:
        models = [masked(model, hidden) for model in one.models]
        return one.model_copy(update={"name": replaced(one.name, names), "models": models})

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
            "combination": replaced(record.combination, names),
            "evidence": replaced(record.evidence, names),
        }
    )
