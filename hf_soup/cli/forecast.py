"""`hf-soup forecast`: language models, asked for probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_soup.cli import forecast_bias, forecast_export, forecast_report, forecast_scores
from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.forecasting import Forecasts

BELOW_QUORUM = 3

app = typer.Typer(help="Ask language models for probabilities, lose nothing, and score them.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)]


@app.command()
def ask(
    questions: Annotated[
        Path,
        typer.Argument(help="Questions: CSV, JSONL, Parquet, or a JSON file of a known site.", show_default=False),
    ],
    models: Annotated[
        str,
        typer.Option(
            "--models", help="provider/model[:samples] with commas between, or a YAML file.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder of the run; one that is there goes on.", show_default=False),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", help="superforecaster, interval, update, plain, base_rate, negated, json, or a file."
        ),
    ] = "superforecaster",
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost", help="Dollars that this run may cost at most, over all commands.", show_default=False
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            help="YAML, model: {input: 2.5, output: 10}, in dollars per million tokens.",
            show_default=False,
        ),
    ] = None,
    allow_unpriced: Annotated[
        bool, typer.Option("--allow-unpriced", help="Ask members whose price nobody knows, too.")
    ] = False,
    quorum: Annotated[
        float,
        typer.Option("--quorum", help="Share of a question's slots to be answered; below it the exit code is 3."),
    ] = 0.5,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print calls, tokens and cost of each member; send nothing.")
    ] = False,
    refill: Annotated[
        bool, typer.Option("--refill", help="Ask again where an answer was refused or could not be read.")
    ] = False,
    api_base: Annotated[
        str | None,
        typer.Option("--api-base", help="The server of the openai/ members; it gets no key.", show_default=False),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", help="The environment variable whose key --api-base gets.", show_default=False),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="Of members that have none.", show_default=False)
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="Longest answer of members that say none.", show_default=False)
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Requests that are out at a time.")] = 64,
    per_provider: Annotated[int, typer.Option("--per-provider", help="Those of one provider.")] = 32,
    retries: Annotated[int, typer.Option("--retries", help="After a failure that may pass.")] = 5,
    unit: Annotated[
        str, typer.Option("--unit", help="What the crowd column is written in: fraction or percent.")
    ] = "fraction",
    column: opt.Column = None,
    as_json: opt.Json = False,
) -> None:
    """Ask every question of every model, and read a probability from each answer.

    The same command goes on after Ctrl-C or a failure, and asks nothing again whose answer had arrived.
    """
    from hf_soup.errors import InputError
    from hf_soup.forecasting import Crowd

    crowd = Crowd(
        models,
        prompt=prompt,
        api_base=api_base,
        api_key_env=api_key_env,
        prices=prices,
        allow_unpriced=allow_unpriced,
        temperature=temperature,
        max_tokens=max_tokens,
    )
    reading: Any = {"unit": unit, "columns": opt.pairs(column, "--column")}
    if dry_run:
        estimate = crowd.plan(questions, out=out, refill=refill, **reading)
        print_warnings([*estimate.problems, *estimate.back_tests])
        if as_json:
            print_json(estimate.to_json())
        else:
            show(str(estimate))
        return
    if out is None:
        raise InputError("Say where the run goes: -o FOLDER.")
    run = crowd.ask(
        questions,
        out=out,
        max_cost=max_cost,
        quorum=quorum,
        refill=refill,
        concurrency=concurrency,
        per_provider=per_provider,
        retries=retries,
        **reading,
    )
    _print(run, as_json)
    if below := run.below_quorum():
        print_warnings([f"Below the quorum of {quorum:g}: {', '.join(below)}."])
        raise typer.Exit(BELOW_QUORUM)


@app.command("show")
def show_run(run: Run, as_json: opt.Json = False) -> None:
    """Print members × questions: the median of the samples and their number, or what became of them."""
    from hf_soup.forecasting import Forecasts

    _print(Forecasts.from_run(run), as_json)


@app.command()
def parse(run: Run, as_json: opt.Json = False) -> None:
    """Read all transcripts again with the parsers of this version, without a call."""
    from hf_soup.forecasting import parse_again

    forecasts, changes = parse_again(run)
    if as_json:
        rows = [[change.before.model_dump(mode="json"), change.after.model_dump(mode="json")] for change in changes]
        print_json({"path": str(run), "changes": [{"before": before, "after": after} for before, after in rows]})
        return
    for change in changes:
        show(str(change))
    show(f"{len(forecasts.rows)} rows read, {len(changes)} changed.")


for scoring_command in (*forecast_scores.COMMANDS, forecast_bias.bias, forecast_report.report, forecast_export.export):
    app.command()(scoring_command)


def _print(run: Forecasts, as_json: bool) -> None:
    """The table and what is missing; the warnings about back-tests on standard error."""
    print_warnings(run.back_test_sentences())
    if as_json:
        print_json(run.to_json())
        return
    show(run.table())
    for missing in run.missing():
        if missing.rate:
            show(
                f"\n{missing.member}: {missing.rows - missing.answered} of {missing.rows} missing ({missing.rate:.1%})"
            )
            for reason, count in missing.reasons.items():
                show(f"  {count:>5}  {reason}")
    cost = "" if run.cost is None else f", ${run.cost:.4f} spent"
    show(f"\n{run.path}: {run.answered} of {len(run.rows)} answered{cost}")
