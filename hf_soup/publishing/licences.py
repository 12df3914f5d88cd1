"""Which licence a merge may carry, from what its ingredients' cards say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from hf_soup.errors import InputError

if TYPE_CHECKING:
    from hf_soup.publishing.ingredient_cards import IngredientCard

# Source: https://huggingface.co/docs/hub/repositories-licenses. The Hub refuses a card with any other identifier.
_IDENTIFIERS = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc
lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa
odbl odc-by ofl-1.1 openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl
zlib
"""
LICENCE_IDS = frozenset(_IDENTIFIERS.split())


@dataclass(frozen=True)
class Licence:
    """`id` as the Hub spells it; `name` and `link` say what `other` means."""

    id: str
    name: str | None = None
    link: str | None = None

    def __str__(self) -> str:
        return f"{self.id} ({self.name})" if self.name else self.id

    def front_matter(self) -> dict[str, str]:
        fields = {"license": self.id, "license_name": self.name, "license_link": self.link}
        return {key: value for key, value in fields.items() if value is not None}


def derive_licence(cards: Sequence[IngredientCard], given: str | Licence | None = None) -> Licence | None:
    """Returns the licence that the ingredients share, or the given one; None where no ingredient states any.

    Ingredients that state none do not stand in the way: see `unlicensed`. Raises InputError for a given identifier that
    the Hub does not know, and, when none is given, for licences that differ, with every model and its licence listed.
    """
    if given is not None:
        licence = Licence(given) if isinstance(given, str) else given
        if licence.id not in LICENCE_IDS:
            close = get_close_matches(licence.id.lower(), LICENCE_IDS, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise InputError(
                f"The licence '{licence.id}' is not one of the Hub's identifiers "
                f"(https://huggingface.co/docs/hub/repositories-licenses); 'other' stands for any other one.{hint}"
            )
        return _explained(licence, cards)
    stated = [card for card in cards if card.licence is not None]
    different = {_identity(card.licence) for card in stated if card.licence is not None}
    if len(different) > 1:
        listed = [f"{card.name}: {card.licence or 'states none'}" for card in cards]
        raise InputError(
            [
                "The ingredients' licences differ; choose one that all of them allow and give it with --license ID.",
                *dict.fromkeys(listed),
            ]
        )
    if not stated or stated[0].licence is None:
        return None
    licence = stated[0].licence
    if licence.id not in LICENCE_IDS:
        raise InputError(
            f"{stated[0].name}: its card names the licence '{licence.id}', which is not one of the Hub's identifiers "
            "(https://huggingface.co/docs/hub/repositories-licenses); give the right one with --license ID."
        )
    return licence


def unlicensed(cards: Sequence[IngredientCard]) -> list[str]:
    """Returns the names of the ingredients whose card states no licence, each once."""
    return list(dict.fromkeys(card.name for card in cards if card.licence is None))


def licence_warning(cards: Sequence[IngredientCard], licence: Licence | None) -> str | None:
    """Returns what a publisher should know about the licence before it is public, or None."""
    silent = unlicensed(cards)
    if licence is None:
        return (
            "No ingredient's card states a licence, so the card of the result states none either; "
            "give one with --license ID if you may."
        )
    if silent:
        return f"No licence is stated by {', '.join(silent)}; make sure that publishing under {licence} is allowed to you."
    return None


def _identity(licence: Licence) -> tuple[str, str | None]:
    if licence.id != "other":
        return licence.id, None
    return licence.id, licence.name or licence.link


def _explained(licence: Licence, cards: Sequence[IngredientCard]) -> Licence:
    """A bare `other` takes its name and link from the ingredients where they agree on it."""
    if licence.id != "other" or licence.name:
        return licence
    others = [card.licence for card in cards if card.licence is not None and card.licence.id == "other"]
    if others and others[0].name and len({_identity(other) for other in others}) == 1:
        return others[0]
    raise InputError(
        "The licence 'other' needs a name and a link: write license, license_name and license_link into README.md of "
        "the folder, or choose one of the Hub's identifiers with --license ID."
    )
