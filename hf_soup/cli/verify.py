"""hf-soup verify: are the published weights what the card says?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, show


def command(
    target: Annotated[str, typer.Argument(help="A repository, or a folder.", show_default=False)],
    ingredient: Annotated[
        list[str] | None, typer.Option("--ingredient", help="Where an ingredient that was a folder lies: NAME=DIR.")
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit to verify.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="Of an ensemble: rows that it was fitted or tested on. Repeatable.", show_default=False
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions", help="Of an ensemble without models: NAME=FILE,FILE. Repeatable.", show_default=False
        ),
    ] = None,
    logits: Annotated[bool, typer.Option("--logits", help="The predictions are logits.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Derive the weights again from the pinned ingredients and compare them with what is published.

    Of an ensemble the members' digests are compared and, with --data, weights and figures are computed again.
    """
    from hf_soup.errors import InputError
    from hf_soup.progress import byte_bar
    from hf_soup.publishing import verify

    given: Any = data or None
    if predictions:
        from hf_soup.ensembles.prediction_files import PredictionFiles

        if not data:
            raise InputError("--predictions: say where the labels are, too: --data FILE.")
        given = PredictionFiles(opt.lists(predictions, "--predictions"), tuple(data), logits)
    verification = verify(
        target,
        ingredients=opt.pairs(ingredient, "--ingredient"),
        data=given,
        revision=revision,
        progress=byte_bar,
    )
    if as_json:
        print_json(verification.to_json())
    else:
        show(str(verification))
    raise typer.Exit(verification.exit_code)
