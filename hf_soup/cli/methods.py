"""hf-soup methods: what there is and what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_soup.cli.options import Json
from hf_soup.cli.output import print_json

if TYPE_CHECKING:
    from hf_soup.methods import MergeMethod


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
        typer.echo(_in_full(chosen[0]))
    else:
        for method in chosen:
            typer.echo(f"{method.name:<18}{method.summary}")


def _in_full(method: MergeMethod) -> str:
    lines = [
        method.name,
        "",
        inspect.getdoc(method.combine) or "",
        "",
        f"Takes: {', '.join(_takes(method))}",
        "",
        "Parameters:",
    ]
    theirs = _defaults_of_mergekit(method.name)
    for parameter, default in method.defaults.items():
        each = " (one for all, or one per model)" if parameter in method.per_model else ""
        other = f"; in a mergekit file: {theirs[parameter]}" if parameter in theirs else ""
        lines.append(f"  {parameter} = {default}{each}{_range(method, parameter)}{other}")
    return "\n".join(lines)


def _takes(method: MergeMethod) -> Iterator[str]:
    yield f"exactly {method.exactly} models" if method.exactly else "any number of models"
    if method.needs_base:
        yield "a base model"
    yield "their order means nothing" if method.commutative else "their order matters"
    if not method.elementwise:
        yield "whole tensors in memory"
    elif method.survey is not None:
        yield "two passes over each tensor"


def _range(method: MergeMethod, parameter: str) -> str:
    schema = method.schema.model_json_schema()["properties"][parameter]
    schema = schema.get("items", schema)
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[bound]:g}" for bound, sign in signs.items() if bound in schema]
    return f", {' and '.join(bounds)}" if bounds else ""


def _defaults_of_mergekit(method: str) -> dict[str, str]:
    """What stands for a parameter that a mergekit file leaves out, by our names."""
    from hf_soup.merging.mergekit_methods import MERGEKIT_METHODS

    if method not in MERGEKIT_METHODS:
        return {}
    return {
        parameter.name: (
            f"{theirs} = {parameter.default}" if parameter.default is not None else f"{theirs}, must be stated"
        )
        for theirs, parameter in MERGEKIT_METHODS[method].parameters.items()
    }


def _document(method: MergeMethod) -> dict[str, Any]:
    return {
        "name": method.name,
        "summary": method.summary,
        "source": method.source,
        "takes": list(_takes(method)),
        "needs_base": method.needs_base,
        "mergekit": _defaults_of_mergekit(method.name),
        "parameters": {
            name: {"default": default, "per_model": name in method.per_model}
            for name, default in method.defaults.items()
        },
    }
