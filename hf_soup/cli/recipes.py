"""A recipe file in the place of the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from hf_soup.merging.merge_request import MergeRequest


def recipe_file(models: Sequence[str]) -> Path | None:
    """Returns the one argument that is a YAML file, None where the arguments are models.

    Raises InputError when a recipe stands among models, and when the file is not there.
    """
    from hf_soup.errors import InputError
    from hf_soup.merging.read_request import SUFFIXES

    files = [text for text in models if text.lower().endswith(SUFFIXES) and not Path(text).is_dir()]
    if not files:
        return None
    if len(models) > 1:
        raise InputError(f"{files[0]}: a recipe names its models itself; give it alone, or give models only.")
    return Path(files[0])


def typed(context: typer.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of the options that stand on the command line, whatever their defaults are."""
    return {
        name: value
        for name, value in options.items()
        if getattr(context.get_parameter_source(name), "name", None) == "COMMANDLINE"
    }


def request_of(
    recipe: Path | None,
    models: Sequence[str],
    *,
    context: typer.Context,
    method: str,
    base: str | None,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> MergeRequest:
    """What is to be merged: the recipe with the options that were typed, or the models with all options."""
    from hf_soup.merging.merge_request import MergeRequest
    from hf_soup.merging.read_request import read_request

    if recipe is None:
        return MergeRequest("the command line", tuple(models), base, method, settings, options)
    request = read_request(recipe)
    return request.with_options(typed(context, {"method": method, "base": base, **options}), settings)
