# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-soup[forecast]"]
# ///
"""A crowd of language models on your questions, from the first call to the report, with any provider that litellm knows.

    export OPENAI_API_KEY=…  ANTHROPIC_API_KEY=…
    python recipes/silicon_crowd.py recipes/questions.example.csv --models openai/gpt-4o-mini:3,anthropic/claude-haiku-4-5:3 --dry-run
    python recipes/silicon_crowd.py recipes/questions.example.csv --models openai/gpt-4o-mini:3,anthropic/claude-haiku-4-5:3 --max-cost 1

The example's questions and their outcomes are invented: they show the steps, and say nothing about the models. In your own file
leave `resolution` blank while a question is open. When it has ended, fill it in and give the same command: nothing that was
answered is asked again, and scores, comparisons and the report are made anew. A server of your own: --models openai/NAME --api-base
http://localhost:8000/v1 --allow-unpriced.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting import Crowd, Forecasts
from hf_soup.forecasting.questions import read_questions


def main() -> int:
    arguments = parsed()
    crowd = Crowd(
        arguments.models,
        prompt=arguments.prompt,
        api_base=arguments.api_base,
        allow_unpriced=arguments.allow_unpriced,
        max_tokens=arguments.max_tokens,
    )

    # What it would cost, before anything is sent.
    estimate = crowd.plan(arguments.questions, out=arguments.out)
    print(estimate, end="\n\n")
    if arguments.dry_run:
        return 0

    # Ask. Ctrl-C loses nothing; the same command goes on.
    run = crowd.ask(arguments.questions, out=arguments.out, max_cost=arguments.max_cost)
    print(run.table(), end="\n\n")
    for missing in run.missing():
        if missing.rate:
            print(f"{missing.member}: {missing.rate:.0%} of its answers are missing: {missing.reasons}")

    # One forecast of all for each question. The aggregate that counts is named here, before any score is seen.
    print(run.aggregate(arguments.primary, questions=arguments.questions), end="\n\n")
    if all(question.outcome is None for question in read_questions(arguments.questions)):
        print(
            f"No question is resolved yet. Fill in `resolution` in {arguments.questions} and give the same command again."
        )
    else:
        judge(run, arguments)
    report = arguments.out / "report.html"
    run.report(report, questions=arguments.questions, primary=arguments.primary, bound=arguments.bound)
    print(f"\nReport: {report}")
    return 3 if run.below_quorum() else 0


def judge(run: Forecasts, arguments: argparse.Namespace) -> None:
    """Scores, comparisons and Study 1 of arXiv 2402.19379; where the file has a `crowd` column, humans are among them."""
    for title, result in (
        ("Scores", run.score(arguments.primary, questions=arguments.questions)),
        (
            "Comparisons",
            run.compare(primary=arguments.primary, bound=arguments.bound, questions=arguments.questions),
        ),
        ("Study 1", run.study1(bound=arguments.bound, questions=arguments.questions)),
    ):
        print(f"{title}\n{'=' * len(title)}\n{result}\n")
        for warning in result.warnings:
            print(f"Warning: {warning}", file=sys.stderr)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", type=Path, help="id, question and, where known, background, resolution, crowd, …")
    parser.add_argument("--models", required=True, help="provider/model[:samples] with commas between, or a YAML file")
    parser.add_argument("-o", "--out", type=Path, default=Path("silicon-crowd"), help="the folder of the run")
    parser.add_argument("--max-cost", type=float, default=1.0, help="dollars, over all commands on this folder")
    parser.add_argument("--dry-run", action="store_true", help="print the estimate and send nothing")
    parser.add_argument("--prompt", default="superforecaster")
    parser.add_argument("--primary", default="mean", help="the aggregator that counts, named before scoring")
    parser.add_argument("--bound", type=float, help="of the equivalence test, in Brier points, stated beforehand")
    parser.add_argument("--api-base", help="the server of the openai/ members")
    parser.add_argument("--allow-unpriced", action="store_true", help="ask members whose price nobody knows, too")
    parser.add_argument("--max-tokens", type=int, help="the longest answer")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit("\n".join(error.problems))
    except SoupError as error:
        sys.exit(str(error))
