"""hf-soup verify: are the published weights what the card says?"""

from __future__ import annotations

from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, show


def command(
    target: Annotated[str, typer.Argument(help="A repository, or a folder.", show_default=False)],
    ingredient: Annotated[
        list[str] | None, typer.Option("--ingredient", help="Where an ingredient that was a folder lies: NAME=DIR.")
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit to verify.")] = None,
    as_json: opt.Json = False,
) -> None:
    """Derive the weights again from the pinned ingredients and compare them with what is published."""
    from hf_soup.progress import byte_bar
    from hf_soup.publishing import verify

    verification = verify(
        target, ingredients=opt.pairs(ingredient, "--ingredient"), revision=revision, progress=byte_bar
    )
    if as_json:
        print_json(verification.to_json())
    else:
        show(str(verification))
    raise typer.Exit(verification.exit_code)
