"""Private repositories must not be named in public by accident: their names give way to digests.

What is left of a hidden ingredient is `private-` and the first eight digits of its fingerprint. It has no repository and
no commit in soup.json then, so that `verify` needs `--ingredient private-1a2b3c4d=REPO@COMMIT` (or a folder) from
somebody who may read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from hf_soup.merging.record import IngredientRecord, SoupRecord

_NAME_CHARACTER = r"[\w.\-/]"


def named_repositories(record: SoupRecord) -> list[str]:
    """Returns every Hub ID in the record: of the ingredients, the base, adapters' bases, and candidates that were not taken."""
    ids = [ingredient.repo_id for ingredient in named_models(record)]
    ids += [candidate.get("repo_id") for candidate in (record.selection or {}).get("candidates", [])]
    return list(dict.fromkeys(repo_id for repo_id in ids if repo_id))


def without_names(record: SoupRecord, hidden: frozenset[str]) -> SoupRecord:
    """Returns the record as it may be published when the repositories in `hidden` must not be named."""
    if not hidden:
        return record
    replacements: dict[str, str] = {}
    for name, repo_id, fingerprint in _named(record):
        if repo_id in hidden:
            alias = _alias(fingerprint)
            # For prose, which does not say which of several commits of one repository it means.
            replacements.setdefault(name, alias)
            replacements.setdefault(repo_id, alias)
    rename = _renamer(replacements)
    # A public ingredient's card names the ancestor for everybody to read; one that only private cards name stays unnamed.
    public = any(ingredient.repo_id not in hidden for ingredient in record.ingredients)
    return record.model_copy(
        update={
            "ancestor": record.ancestor if public and record.ancestor not in hidden else None,
            "ingredients": [masked(ingredient, hidden) for ingredient in record.ingredients],
            "base": masked(record.base, hidden) if record.base is not None else None,
            "selection": _everywhere(_without_places(record.selection, hidden), rename),
            "evidence": _everywhere(record.evidence, rename),
        }
    )


def masked(ingredient: IngredientRecord, hidden: frozenset[str]) -> IngredientRecord:
    """Returns what may be published of one ingredient, and of the base that it adapts."""
    if ingredient.adapter_of is not None:
        ingredient = ingredient.model_copy(update={"adapter_of": masked(ingredient.adapter_of, hidden)})
    if ingredient.repo_id not in hidden:
        return ingredient
    nowhere = {"name": _alias(ingredient.fingerprint), "repo_id": None, "revision": None, "subfolder": None}
    return ingredient.model_copy(update=nowhere)


def replaced(value: Any, replacements: Mapping[str, str]) -> Any:
    """Returns a JSON value in which every whole name among `replacements` gave way, in keys and in prose too."""
    return _everywhere(value, _renamer(dict(replacements))) if replacements else value


def replacements_for(models: Iterable[IngredientRecord], hidden: frozenset[str]) -> dict[str, str]:
    """Returns what stands in place of the names of those models that are in hidden repositories."""
    found: dict[str, str] = {}
    for model in models:
        if model.repo_id in hidden:
            # The repository also in prose, which does not say which of several commits it means.
            found.setdefault(model.name, _alias(model.fingerprint))
            found.setdefault(str(model.repo_id), _alias(model.fingerprint))
    return found


def is_hidden(ingredient: IngredientRecord) -> bool:
    """Tells an ingredient that was made nameless from a folder that had no repository."""
    return ingredient.repo_id is None and ingredient.name == _alias(ingredient.fingerprint)


def mentions(text: str, names: frozenset[str]) -> list[str]:
    """Returns those of the names that stand in a text as whole names, not as a part of a longer one."""
    return [name for name in sorted(names) if re.search(_pattern(name), text)]


def _alias(fingerprint: str) -> str:
    return f"private-{fingerprint[:8]}"


def named_models(record: SoupRecord) -> list[IngredientRecord]:
    """Returns the ingredients, the base, and the bases of adapters, which are repeated where several have one."""
    models = [*record.ingredients, *([record.base] if record.base is not None else [])]
    return [*models, *(model.adapter_of for model in models if model.adapter_of is not None)]


def _named(record: SoupRecord) -> Iterator[tuple[str, str, str]]:
    for ingredient in named_models(record):
        if ingredient.repo_id:
            yield ingredient.name, ingredient.repo_id, ingredient.fingerprint
    for candidate in (record.selection or {}).get("candidates", []):
        if candidate.get("repo_id"):
            yield candidate["name"], candidate["repo_id"], candidate["fingerprint"]


def _without_places(selection: dict[str, Any] | None, hidden: frozenset[str]) -> dict[str, Any] | None:
    if selection is None:
        return None
    nowhere = {"repo_id": None, "revision": None, "subfolder": None}
    candidates = [
        {**candidate, **nowhere, "name": _alias(candidate["fingerprint"])}
        if candidate.get("repo_id") in hidden
        else candidate
        for candidate in selection.get("candidates", [])
    ]
    return {**selection, "candidates": candidates}


def _renamer(replacements: dict[str, str]) -> Callable[[str], str]:
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = re.compile("|".join(_pattern(name) for name in longest_first))
    return lambda text: pattern.sub(lambda match: replacements[match[0]], text)


def _pattern(name: str) -> str:
    # A full stop may follow a name at the end of a sentence; inside a name one is followed by another character.
    return rf"(?<!{_NAME_CHARACTER}){re.escape(name)}(?![\w\-/]|\.\w)"


def _everywhere(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, list):
        return [_everywhere(item, rename) for item in value]
    if isinstance(value, dict):
        return {rename(key): _everywhere(item, rename) for key, item in value.items()}
    return value
