"""What the ingredients' own cards say: licence, language, data sets, task, and the model that they came from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import PinnedRef, open_folder
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.reference import is_hub_id
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.patience import patiently

CARD_NAME = "README.md"


@dataclass(frozen=True)
class IngredientCard:
    """The fields of a card that a merge inherits. `name`: as the record names the ingredient."""

    name: str
    licence: Licence | None = None
    languages: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library_name: str | None = None
    base_models: tuple[str, ...] = ()


def read_card(folder: ModelFolder) -> dict[str, Any]:
    """Returns the front matter of a model's card, {} where there is none.

    A model in a subfolder without a card of its own has that of its repository. Raises InputError or HubError when the
    Hub refuses or fails.
    """
    if CARD_NAME not in folder.files:
        ref = folder.ref
        if ref.subfolder is None:
            return {}
        root = PinnedRef(ref.requested, repo_id=ref.repo_id, revision=ref.revision)
        token, cache_dir = getattr(folder, "token", None), getattr(folder, "cache_dir", None)
        return read_card(open_folder(root, token=token, cache_dir=cache_dir))
    return split_front_matter(folder.local_path(CARD_NAME).read_text(encoding="utf-8", errors="replace"))[0]


def load_card(folder: ModelFolder, name: str | None = None) -> IngredientCard:
    """Returns what is inherited from the card of the model in `folder`; `name`: as the record names it."""
    card = parse_card(read_card(folder), name or folder.ref.name)
    licence = card.licence
    if licence and licence.link and folder.ref.repo_id and not licence.link.startswith(("http://", "https://")):
        # A relative link means a file of the ingredient's repository, which is not copied.
        from huggingface_hub import constants

        place = f"{constants.ENDPOINT}/{folder.ref.repo_id}/blob/{folder.ref.revision}"
        return replace(card, licence=replace(licence, link=f"{place}/{licence.link.lstrip('./')}"))
    return card


def load_cards(
    ingredients: Iterable[IngredientRecord],
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> list[IngredientCard]:
    """Returns a card for each recorded ingredient, read at its pinned commit; an empty one for a local folder."""
    cards = []
    for ingredient in ingredients:
        pinned = ingredient.pinned()
        if pinned is None:
            cards.append(IngredientCard(ingredient.name))
        else:
            folder = open_folder(pinned, token=token, cache_dir=cache_dir)
            cards.append(patiently(partial(load_card, folder, ingredient.name)))
    return cards


def parse_card(metadata: dict[str, Any], name: str) -> IngredientCard:
    """Takes what is well formed from a front matter that anybody may have written."""
    return IngredientCard(
        name=name,
        licence=_licence(metadata),
        languages=tuple(
            word for word in _texts(metadata.get("language")) if re.fullmatch(r"[a-z]{2,3}|code|multilingual", word)
        ),
        datasets=tuple(word for word in _texts(metadata.get("datasets")) if is_hub_id(word)),
        pipeline_tag=_text(metadata.get("pipeline_tag")),
        library_name=_text(metadata.get("library_name")),
        base_models=tuple(word for word in _texts(metadata.get("base_model")) if is_hub_id(word)),
    )


def common_ancestor(cards: Sequence[IngredientCard]) -> str | None:
    """Returns the Hub ID that every card names as its one base model, or None.

    >>> common_ancestor([IngredientCard("a", base_models=("x/base",)), IngredientCard("b", base_models=("x/base",))])
    'x/base'
    """
    named = {card.base_models for card in cards}
    if len(named) != 1:
        return None
    bases = named.pop()
    return bases[0] if len(bases) == 1 else None


def union(values: Iterable[Sequence[str]]) -> list[str]:
    """Every value once, in the order in which they come."""
    return list(dict.fromkeys(value for some in values for value in some))


def agreed(values: Iterable[str | None]) -> str | None:
    """The one value that is stated, None where several or none are."""
    counts = Counter(value for value in values if value)
    return next(iter(counts)) if len(counts) == 1 else None


def _licence(metadata: dict[str, Any]) -> Licence | None:
    stated = _texts(metadata.get("license"))
    if not stated:
        return None
    licence = ", ".join(text.lower() for text in stated)
    return Licence(licence, _text(metadata.get("license_name")), _text(metadata.get("license_link")))


def _texts(value: Any) -> list[str]:
    return [text for item in (value if isinstance(value, list) else [value]) if (text := _text(item))]


def _text(value: Any) -> str | None:
    if value is False:
        return "no"  # Norwegian, as YAML reads it without quotes
    return value.strip() or None if isinstance(value, str) else None
