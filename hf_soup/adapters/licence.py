"""The licence of an adapter that is made here: by the same rule as that of a merged model, with the base among the licensors."""

from __future__ import annotations

from collections.abc import Sequence

from hf_soup.adapters.common_base import CommonBase
from hf_soup.errors import InputError, SoupError
from hf_soup.publishing import (
    IngredientCard,
    Licence,
    Target,
    derive_licence,
    licence_warning,
    load_card,
    target_problems,
)


def card_of_base(base: CommonBase) -> list[IngredientCard]:
    """Returns the card of the base in a list, [] where it cannot be read, of which the user hears as of the base itself."""
    if base.folder is None:
        return []
    try:
        return [load_card(base.folder)]
    except SoupError:
        return [IngredientCard(base.folder.ref.name)]  # states no licence, of which the user is warned


def inherited_licence(
    cards: Sequence[IngredientCard], given: str | None, *, required: bool = False
) -> tuple[Licence | None, list[str]]:
    """Returns the licence of the result and what the user should know of it.

    Raises InputError for a given identifier that the Hub does not know, and, where one is `required` for a publication, for
    licences that differ.
    """
    try:
        licence = derive_licence(cards, given)
    except InputError as error:
        if required or given is not None:
            raise
        return None, [" ".join(error.problems)]
    warning = licence_warning(cards, licence)
    return licence, [warning] if warning else []


def publication_problems(publish: bool | str | Target, token: str | bool | None) -> list[str]:
    """Returns why the result could not be pushed: to a Hub ID, to a target; nothing is asked for True and False."""
    if isinstance(publish, bool):
        return []
    return target_problems(Target(publish) if isinstance(publish, str) else publish, token)
