"""`hf-soup forecast export`: one aggregate in the format of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.forecast_options import Primary, Source, takes_options
from hf_soup.cli.output import print_json, print_warnings, show

PARTS_MISSING = 3
FORMATS = ("forecastbench",)


@takes_options
def export(
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The file to write; theirs are DUE.ORGANIZATION.N.json.", show_default=False),
    ],
    organization: Annotated[
        str, typer.Option("--organization", help="As it is registered with the benchmark.", show_default=False)
    ],
    format: Annotated[str, typer.Option("--format", help="forecastbench.")] = FORMATS[0],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Its name on the board. [default: the aggregate and its members]", show_default=False
        ),
    ] = None,
    model_organization: Annotated[
        str | None, typer.Option("--model-organization", help="Who made it. [default: the same]", show_default=False)
    ] = None,
    primary: Primary = "mean",
    source: Source,
    as_json: opt.Json = False,
) -> None:
    """Write one aggregate as a forecast set for ForecastBench, whose question set is given with --questions.

    What the set lacks or cannot say is listed, and the exit code is then 3; a missing forecast is left out, never made up.
    """
    from hf_soup.errors import InputError
    from hf_soup.scoring.documents import refuse_overwriting, write_json
    from hf_soup.scoring.forecastbench_submission import forecastbench_submission, read_question_set

    if format not in FORMATS:
        raise InputError(f"--format {format}: is not known; known: {', '.join(FORMATS)}.")
    if source.questions is None:
        raise InputError("Say which question set the forecasts are for: --questions DUE-llm.json.")
    if out.suffix.lower() != ".json" or not out.parent.is_dir():
        raise InputError(f"{out}: name a file that ends with .json, in a folder that is there.")
    refuse_overwriting(out, [source.forecasts, source.questions])
    questions = read_question_set(source.questions)
    submission = forecastbench_submission(
        source.table(needs_crowd=False),
        questions,
        organization=organization,
        model=model,
        model_organization=model_organization,
        primary=primary,
        file_name=out.name,
    )
    write_json(out, submission.document)
    print_warnings(submission.problems)
    if as_json:
        print_json(submission.to_json())
    else:
        show(submission.table())
    if submission.problems:
        raise typer.Exit(PARTS_MISSING)
