"""hf-soup evaluate: how good are these models, and how sure is that?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, show


def command(
    models: opt.Models,
    data: Annotated[Path | None, typer.Option("--data", help="Held-out data: CSV, JSONL or Parquet.")] = None,
    task: opt.Task = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Repeatable; all of the task's without.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option("--score", help="Instead of --data: a command that prints a number; {model} is the folder."),
    ] = None,
    column: opt.Column = None,
    labels: opt.Labels = None,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Judge models on held-out data, with 95 % intervals."""
    from hf_soup.judging import evaluate_models

    first = metric[0] if metric else None
    held_out = opt.held_out(data, score, task, first, column, labels, False)
    table = evaluate_models(models, held_out, metric, trust_remote_code=trust_remote_code)
    if as_json:
        print_json(table.to_json())
    else:
        show(str(table))
