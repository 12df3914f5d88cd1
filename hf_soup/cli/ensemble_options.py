"""The options that the commands of `hf-soup ensemble` share."""

from __future__ import annotations

from typing import Annotated

import typer

Saved = Annotated[str, typer.Argument(help="The folder of an ensemble, or its repository.", show_default=False)]
Families = Annotated[
    list[str] | None,
    typer.Option("--family", help="Members of one family: NAME=ID,ID. Repeatable.", show_default=False),
]
Task = Annotated[str | None, typer.Option("--task", help="text-classification or image-classification.")]
Predictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        help="Instead of models their predictions, a file a member: NAME=FILE,FILE. Repeatable.",
        show_default=False,
    ),
]
MembersPredictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        help=(
            "Instead of models their predictions, a file a member: NAME=FILE,FILE. Repeatable. A file is its member's when it is called "
            "like the one that was fitted on; otherwise files are taken in the order of their family's members."
        ),
        show_default=False,
    ),
]
Tests = Annotated[
    list[str] | None,
    typer.Option("--test", help="Rows that decide nothing: NAME=FILE. Repeatable.", show_default=False),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes", help="Of predictions without names: the columns' classes, in order.", show_default=False
    ),
]
Logits = Annotated[bool, typer.Option("--logits", help="The predictions are logits.")]
GroupBy = Annotated[
    str | None,
    typer.Option("--group-by", help="A column; rows with one value stay together in splits.", show_default=False),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--member", help="Where a member that was a folder lies: NAME=DIR. Repeatable.", show_default=False),
]
WhenMissing = Annotated[
    str, typer.Option("--on-missing", help="error, or reweigh: do without a member that is missing or fails.")
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="To start with; it shrinks where memory ends.", show_default=False)
]
ModelMemory = Annotated[str, typer.Option("--memory", help="For models that stay loaded between uses.")]
EnsembleDevice = Annotated[str | None, typer.Option("--device", help="cpu, cuda:1, …; else the best there is.")]
