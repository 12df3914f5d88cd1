"""`hf-soup forecast aggregate`, `score`, `compare`, `calibrate`, `study1` and `study2`: from forecasts, without a key or a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli.forecast_options import (
    Answers,
    Bound,
    CrowdWeight,
    Looks,
    Output,
    Primary,
    Source,
    crowd_weight_of,
    takes_options,
)

AGGREGATE, SCORES = "aggregate.csv", "scores.json"  # in the folder of a run

Everything = Annotated[bool, typer.Option("--all", help="Every aggregator side by side.")]
Pairwise = Annotated[
    bool, typer.Option("--pairwise", help="Also every two models, on the questions that both answered.")
]
FitBefore = Annotated[
    str | None,
    typer.Option(
        "--fit-before",
        help="A day: fit on questions resolved before it, use those forecast from then on. [default: cross-validation]",
        show_default=False,
    ),
]


@takes_options
def aggregate(
    *,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", help="An aggregator; repeatable, the first counts. [default: mean]", show_default=False
        ),
    ] = None,
    everything: Everything = False,
    primary: Annotated[
        str | None, typer.Option("--primary", help="The one that counts, if not the first.", show_default=False)
    ] = None,
    fit_before: FitBefore = None,
    source: Source,
    output: Output,
) -> None:
    """Make one forecast of all members' for each question, with their spread and number.

    Of a whole run the table is kept as aggregate.csv in its folder, unless -o says where.
    """
    from hf_soup.scoring.aggregation import PRIMARY
    from hf_soup.scoring.fit_before import aggregation_of_later

    table = source.table(needs_crowd=False)
    methods = [*([primary] if primary else []), *(method or [])] or [PRIMARY]
    found = aggregation_of_later(table, methods, everything=everything, fit_before=fit_before)
    output.print(found, kept=None if fit_before or not source.keeps_in else source.keeps_in / AGGREGATE)


@takes_options
def score(
    *,
    primary: Primary = "mean",
    everything: Annotated[bool, typer.Option("--all", help="Every aggregator and every score.")] = False,
    looks: Looks = 1,
    crowd_weight: CrowdWeight = "0.75",
    fit_before: FitBefore = None,
    source: Source,
    output: Output,
) -> None:
    """Score members, the aggregate and the crowd on the questions that are resolved, and the blend of both.

    Of a whole run, all members and rows, the scores are kept as scores.json in its folder.
    """
    from hf_soup.scoring.documents import write_json
    from hf_soup.scoring.scoring import scoring

    weight = crowd_weight_of(crowd_weight)
    table = source.table(needs_crowd=True)
    result = scoring(table, [primary], everything=everything, crowd_weight=weight, fit_before=fit_before, looks=looks)
    if source.keeps_in and not fit_before:
        write_json(source.keeps_in / SCORES, result.to_json())
    output.print(result, result.warnings)


@takes_options
def compare(
    *,
    primary: Primary = "mean",
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            help="members, half (always 50 %), crowd, or a model. Repeatable; else all.",
            show_default=False,
        ),
    ] = None,
    pairwise: Pairwise = False,
    bound: Bound = None,
    looks: Looks = 1,
    crowd_weight: CrowdWeight = "0.75",
    fit_before: FitBefore = None,
    source: Source,
    output: Output,
) -> None:
    """Test the aggregate against members, 50 % and the crowd, and say which difference would have been found.

    All tests are in one table of adjusted p, also those of members against each other.
    """
    from hf_soup.scoring.comparing import comparing

    weight = crowd_weight_of(crowd_weight)
    table = source.table(needs_crowd=True)
    result = comparing(
        table,
        against or None,
        primary=primary,
        pairwise=pairwise,
        bound=bound,
        looks=looks,
        crowd_weight=weight,
        fit_before=fit_before,
    )
    output.print(result, result.warnings)


@takes_options
def calibrate(
    *,
    primary: Primary = "mean",
    method: Annotated[
        str, typer.Option("--method", help="shift, shift_and_slope, platt, beta or isotonic.")
    ] = "shift",
    source: Source,
    output: Output,
) -> None:
    """Correct the aggregate where cross-validation says that it helps, and say whether and why."""
    from hf_soup.scoring.calibrating import calibrating

    output.print(calibrating(source.table(needs_crowd=False), primary=primary, method=method))


@takes_options
def study1(
    *,
    primary: Primary = "median",
    bound: Bound = None,
    looks: Looks = 1,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the calibration plot: a PNG or SVG file.", show_default=False)
    ] = None,
    source: Source,
    output: Output,
) -> None:
    """Run Study 1 of arXiv 2402.19379: the models' crowd against 50 % and humans, and its biases."""
    from hf_soup.reporting.study1_plot import refuse_other_plots, save_study1_plot
    from hf_soup.scoring.study1_result import study1_result

    if plot is not None:
        refuse_other_plots(plot)
    result = study1_result(source.table(needs_crowd=True), primary=primary, bound=bound, looks=looks)
    if plot is not None:
        save_study1_plot(result, plot)
    output.print(result, result.warnings)


@takes_options
def study2(
    *,
    weight: Annotated[
        float, typer.Option("--weight", help="The crowd's in the weighted average with a first forecast.")
    ] = 0.75,
    bound: Bound = None,
    looks: Looks = 1,
    answers: Answers,
    output: Output,
) -> None:
    """Run Study 2 of arXiv 2402.19379: forecasts before and after the human median was shown.

    Of a run with the prompt `update`, or of a file with the columns question_id, model, sample, turn (0 or 1), low and high.
    """
    from hf_soup.scoring.read_two_turns import read_two_turns
    from hf_soup.scoring.study2_result import study2_result

    turns = read_two_turns(answers.forecasts, answers.questions, **answers.reading())
    result = study2_result(turns, crowd_weight=weight, bound=bound, looks=looks)
    output.print(result, result.warnings)


COMMANDS = (aggregate, score, compare, calibrate, study1, study2)
