"""A recipe file in either notation."""

from __future__ import annotations

from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.merging.merge_request import MergeRequest
from hf_soup.merging.mergekit_recipe import METHOD_KEY, mergekit_request
from hf_soup.merging.recipe import VERSION_KEY, Recipe
from hf_soup.merging.recipe_file import read_mapping

SUFFIXES = (".yaml", ".yml")


def read_request(path: str | Path) -> MergeRequest:
    """Returns what a recipe of ours or a mergekit file asks for. Raises InputError with all problems of the file."""
    path = Path(path)
    document = read_mapping(path)
    if VERSION_KEY in document:
        return Recipe.from_document(document, str(path)).request(str(path))
    if METHOD_KEY in document:
        return mergekit_request(document, str(path))
    raise InputError(
        f"{path}: is no recipe: it has neither '{VERSION_KEY}: 1', as a recipe of hf-soup begins, nor mergekit's '{METHOD_KEY}'."
    )
