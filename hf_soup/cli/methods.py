"""hf-soup methods: what there is and what it takes."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from hf_soup.cli.options import Json
from hf_soup.cli.output import print_json


def command(
    name: Annotated[str | None, typer.Argument(help="Show one method in full.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List the merge methods and their parameters."""
    from hf_soup.methods import METHODS, method_named

    chosen = [method_named(name)] if name else [METHODS[key] for key in sorted(METHODS)]
    if as_json:
        documents = [_document(method) for method in chosen]
        print_json(documents[0] if name else documents)
    elif name:
        typer.echo(f"{chosen[0].name}\n\n{inspect.getdoc(chosen[0].combine)}\n\nParameters:")
        for parameter, default in chosen[0].defaults.items():
            each = " (one for all, or one per model)" if parameter in chosen[0].per_model else ""
            typer.echo(f"  {parameter} = {default}{each}")
    else:
        for method in chosen:
            typer.echo(f"{method.name:<18}{method.summary}")


def _document(method: Any) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "source": method.source,
        "needs_base": method.needs_base,
        "parameters": {
            name: {"default": default, "per_model": name in method.per_model}
            for name, default in method.defaults.items()
        },
    }
