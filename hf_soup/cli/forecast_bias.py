"""`hf-soup forecast bias`: how the models lean, from forecasts, without a key or a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_soup.cli.forecast_options import Looks, Output, Source, takes_options

Negated = Annotated[
    Path | None,
    typer.Option(
        "--negated",
        help="Forecasts of the opposite questions: a run of the prompt negated, or a file of their probabilities.",
        show_default=False,
    ),
]
Paraphrases = Annotated[
    list[Path] | None,
    typer.Option("--paraphrase", help="Forecasts of other wordings: a run or a file. Repeatable.", show_default=False),
]


@takes_options
def bias(
    *, negated: Negated = None, paraphrase: Paraphrases = None, looks: Looks = 1, source: Source, output: Output
) -> None:
    """Check forecasts for biases: means, acquiescence, wording, round numbers, confidence, shared errors, size of the crowd, costs.

    Rewordings can also be in the same table, with the columns negation_of and paraphrase_of of the questions.
    """
    from hf_soup.scoring.bias_report import bias_report
    from hf_soup.scoring.documents import refuse_overwriting
    from hf_soup.scoring.read_rewordings import costs_of_run

    if output.out is not None:
        refuse_overwriting(output.out, [negated, *(paraphrase or [])])
    table = source.table(needs_crowd=False)
    result = bias_report(
        table,
        **rewordings(source, negated, paraphrase),
        costs=None if source.run is None else costs_of_run(source.run, source.turn),
        looks=looks,
    )
    output.print(result, result.warnings)


def rewordings(source: Source, negated: Path | None, paraphrases: Sequence[Path] | None) -> dict[str, Any]:
    """Reads the forecasts of opposite questions and of other wordings as those of the source, for `bias_report` and `report`."""
    from hf_soup.scoring.read_rewordings import read_negated, read_paraphrases

    reading = {**source.reading(), "turn": source.turn}
    return {
        "negated": None if negated is None else read_negated(negated, source.questions, **reading),
        "paraphrases": [read_paraphrases(each, source.questions, **reading) for each in paraphrases or []],
    }
