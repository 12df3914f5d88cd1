"""What completes a merged folder: the evidence and the ancestor in its record, and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.before_work import licensors
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.merging import Plan, SoupRecord

if TYPE_CHECKING:
    from hf_soup.selection import Evidence, Selection


def completion(
    plan: Plan,
    base: StoredCheckpoint | None,
    license: str | None,
    told: list[str],
    selection: Selection | None = None,
    evidence: Evidence | None = None,
) -> Callable[[Path, SoupRecord], None]:
    """Returns the function that completes the record and writes the card; its warnings go to `told`. `base`: the soup's.

    Cards are read now, before the work: a Hub that fails costs nothing then.
    """
    from hf_soup.publishing import common_ancestor, load_card, write_card

    cards = [load_card(model.folder) for model in plan.models]
    others = [load_card(model.folder) for model in licensors(plan) if model not in plan.models]

    def finish(folder: Path, record: SoupRecord) -> None:
        named = [replace(card, name=one.name) for card, one in zip(cards, record.ingredients, strict=True)]
        record.selection = selection.to_json() if selection else None
        record.evidence = evidence.to_json() if evidence else None
        given = base.ref.repo_id if base is not None and base.ref is not None else None
        record.ancestor = given or common_ancestor(named)
        told.extend(write_card(folder, record, named, licence=license, bases=others))

    return finish
