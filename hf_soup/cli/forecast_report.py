"""`hf-soup forecast report`: forecasts and their scores as one page that can be shown, and published."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.forecast_bias import Negated, Paraphrases, rewordings
from hf_soup.cli.forecast_options import Bound, CrowdWeight, Looks, Primary, Source, crowd_weight_of, takes_options
from hf_soup.cli.forecast_scores import Pairwise
from hf_soup.cli.output import print_json, print_warnings, show

PAGE = "report.html"  # in the folder of a run, else in the working directory


@takes_options
def report(
    *,
    source: Source,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The HTML file. [default: report.html]", show_default=False),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Also write it as Markdown.", show_default=False)
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", help="A folder for the figures of the Markdown, as PNG.", show_default=False),
    ] = None,
    primary: Primary = "mean",
    everything: Annotated[bool, typer.Option("--all", help="Every aggregator side by side.")] = False,
    pairwise: Pairwise = False,
    bound: Bound = None,
    looks: Looks = 1,
    crowd_weight: CrowdWeight = "0.75",
    negated: Negated = None,
    paraphrase: Paraphrases = None,
    push: Annotated[
        str | None,
        typer.Option("--push", help="Publish it with the forecasts to this data set.", show_default=False),
    ] = None,
    private: opt.Private = False,
    with_transcripts: Annotated[
        bool, typer.Option("--with-transcripts", help="Publish what the models were sent and answered, too.")
    ] = False,
    license: Annotated[
        str | None, typer.Option("--license", help="The Hub's identifier of a licence.", show_default=False)
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    as_json: opt.Json = False,
) -> None:
    """Write scores, comparisons, biases and figures as one HTML file that needs nothing else.

    Of a whole run it is report.html in its folder, else in the working directory, unless -o says where. With --push forecasts,
    questions, scores and report become a data set on the Hub, without transcripts unless they are asked for.
    """
    from hf_soup.reporting.forecast_report import HTML, MARKDOWN, refuse_other_pages
    from hf_soup.reporting.forecast_report import report as report_of
    from hf_soup.reporting.material import read_material
    from hf_soup.reporting.publication import known_licence, push_report

    page = out or (source.keeps_in or Path()) / PAGE
    refuse_other_pages(page, HTML)
    if out is None:
        _refuse_anothers_page(page)
    if markdown is not None:
        refuse_other_pages(markdown, MARKDOWN)
    _refuse_idle(markdown, plots, push, private, with_transcripts, license, source)
    known_licence(license)
    weight = crowd_weight_of(crowd_weight)
    material = read_material(source.forecasts, source.questions, turn=source.turn, **source.reading())
    made = report_of(
        material.table,
        questions_text=material.texts,
        run=material.run,
        primary=primary,
        everything=everything,
        pairwise=pairwise,
        bound=bound,
        looks=looks,
        crowd_weight=weight,
        **rewordings(source, negated, paraphrase),
    )
    made.save(page)
    if markdown is not None:
        made.save(markdown, plots=plots)
    url = None
    if push is not None:
        url = push_report(
            made,
            push,
            questions=material.questions,
            texts=material.texts,
            run=material.run,
            private=private,
            license=license,
            with_transcripts=with_transcripts,
        )
    print_warnings(made.warnings)
    if as_json:
        written = None if markdown is None else str(markdown)
        print_json({"path": str(page), "markdown": written, "url": url, **made.to_json()})
    else:
        show(f"{made.page.headline}\n{page}")
        if url is not None:
            show(f"Published: {url}")
    if open_page:
        webbrowser.open(page.absolute().as_uri())


def _refuse_idle(
    markdown: Path | None,
    plots: Path | None,
    push: str | None,
    private: bool,
    with_transcripts: bool,
    license: str | None,
    source: Source,
) -> None:
    """Raises InputError for options that would do nothing, before anything is read."""
    from hf_soup.errors import InputError

    problems = []
    if plots is not None and markdown is None:
        problems.append("--plots: is for the figures of the Markdown; say where that goes with --markdown FILE.")
    idle = {"--private": private, "--with-transcripts": with_transcripts, "--license": license is not None}
    problems += [
        f"{name}: is for publishing; say where with --push REPO." for name, given in idle.items() if given and not push
    ]
    if push and with_transcripts and source.run is None:
        problems.append("--with-transcripts: ready-made forecasts have no transcripts; leave it out.")
    if problems:
        raise InputError(problems)


def _refuse_anothers_page(page: Path) -> None:
    """Raises InputError where the file that nobody named is there and was not written by this command."""
    from hf_soup.errors import InputError

    mark = b'<meta name="generator" content="hf-soup">'
    if not page.exists():
        return
    with page.open("rb") as file:
        if mark not in file.read(2_000):
            raise InputError(
                f"{page}: is there already and is no report of hf-soup; name a file with -o, this one if it may be replaced."
            )
