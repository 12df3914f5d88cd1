"""One aggregate as a forecast set for ForecastBench, and what of it their rules do not take.

The format, from https://github.com/forecastingresearch/forecastbench, wiki page "How to submit to ForecastBench" and
src/external-submissions (PIPELINE.md and functions/common/validation.py, commit 04e6117): an object with `organization`, `model`,
`model_organization`, `question_set` and `forecasts`, an array of `id`, `source`, `forecast` in [0, 1], `resolution_date` (null for a
question on a market, one of the question's days for one on a series) and, if wanted, `reasoning`. The file is called
DUE.ORGANIZATION.N.json; sets with forecasts for less than 95 % of the market or of the series questions are not ranked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.forecastbench import MARKETS, is_question_set, question_id
from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.shown_numbers import counted
from hf_soup.scoring.table import ForecastTable

LEAST_COVERED = 0.95
_SHOWN = 5
_LAST_SECOND = time(23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True)
class QuestionSet:
    """A question set of theirs. `slots`: (our id of the question, their id, source, day or None for a market), in its order.

    `combined`: how many questions are combinations of two, which are not asked here. `other`: their ids of those that have neither
    a market nor a day.
    """

    name: str
    due: str
    slots: tuple[tuple[str, str, str, str | None], ...]
    combined: int
    other: tuple[str, ...]


@dataclass(frozen=True)
class Submission:
    """`document`: the file. `problems`: what it lacks or cannot say, each a sentence; nothing is put in the place of a gap."""

    document: dict[str, Any]
    problems: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        return list(self.document["forecasts"])

    def to_json(self) -> dict[str, Any]:
        return {**self.document, "problems": list(self.problems)}

    def table(self) -> str:
        """Returns what the file holds, in a sentence."""
        d = self.document
        return (
            f"{len(d['forecasts'])} forecasts for {d['question_set']} by {d['organization']}: {d['model']} "
            f"({d['model_organization']})."
        )


def read_question_set(path: str | Path) -> QuestionSet:
    """Returns a question set as it was published, NAME-llm.json. Raises InputError for another file."""
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}).") from error
    if not is_question_set(document) or not isinstance(document.get("question_set"), str):
        raise InputError(
            f"{path}: is no question set of ForecastBench, with forecast_due_date, question_set and questions; a submission is made "
            "for one of these (repository forecastingresearch/forecastbench-datasets)."
        )
    singles = [each for each in document["questions"] if _is_single(each)]
    slots = tuple(slot for each in singles for slot in _slots(each))
    known = {slot[1] for slot in slots}
    return QuestionSet(
        name=document["question_set"],
        due=str(document["forecast_due_date"]),
        slots=slots,
        combined=len(document["questions"]) - len(singles),
        other=tuple(each["id"] for each in singles if each["id"] not in known),
    )


def forecastbench_submission(
    table: ForecastTable,
    question_set: QuestionSet,
    *,
    organization: str,
    model: str | None = None,
    model_organization: str | None = None,
    primary: str = "mean",
    file_name: str | None = None,
) -> Submission:
    """Returns the aggregate `primary` of a table of forecasts of these questions, as a forecast set.

    `organization`: the name that was registered with them. `model`: its name on their board; else the aggregate and its members.
    `model_organization`: who made the model; else `organization`. `file_name`: as it will be uploaded, to be checked.
    Raises InputError for an unknown aggregator, and where there is no forecast of any question of the set.
    """
    method = aggregator_named(primary)
    aggregate = method(table)
    found = dict(zip(table.questions, aggregate.values.tolist(), strict=True))
    counts = dict(zip(table.questions, aggregate.counts.tolist(), strict=True))
    forecasts = [
        {
            "id": id,
            "source": source,
            "forecast": round(found[ours], 12),
            "resolution_date": day,
            "reasoning": f"{aggregate.description}, of {counts[ours]} of {len(table.members)} models.",
        }
        for ours, id, source, day in question_set.slots
        if not np.isnan(found.get(ours, np.nan))
    ]
    if not forecasts:
        raise InputError(f"{question_set.name}: none of its {len(question_set.slots)} questions has a forecast.")
    document = {
        "organization": organization,
        "model": model or f"{method.name} of {', '.join(table.members)}",
        "model_organization": model_organization or organization,
        "question_set": question_set.name,
        "forecasts": forecasts,
    }
    given = {(each["id"], each["source"], each["resolution_date"]) for each in forecasts}
    problems = [*_gaps(question_set, given), *_coverage(question_set, given), *_late(table, question_set)]
    if file_name is not None:
        problems += _wrong_name(file_name, question_set, organization)
    return Submission(document, tuple(problems))


def _is_single(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("id"), str)
        and not isinstance(entry.get("combination_of"), list)
    )


def _slots(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str | None]]:
    """As the importer of questions names them: one of a market, and one for each day of a series."""
    id, source, days = entry["id"], str(entry.get("source")), entry.get("resolution_dates")
    if isinstance(days, list):
        yield from ((str(question_id(entry, str(day))), id, source, str(day)) for day in days)
    elif source in MARKETS:
        yield str(question_id(entry)), id, source, None


def _gaps(question_set: QuestionSet, given: set[tuple[str, str, str | None]]) -> list[str]:
    problems = []
    missing = [ours for ours, id, source, day in question_set.slots if (id, source, day) not in given]
    if missing:
        problems.append(
            f"{len(missing)} of {len(question_set.slots)} forecasts of {question_set.name} are missing: {_some(missing)}. They are left "
            "out; ForecastBench puts a value of its own in their place."
        )
    if question_set.combined:
        problems.append(
            f"{counted(question_set.combined, 'question combines', 'questions combine')} two others or have no id of their own: not asked, and not in "
            "the file."
        )
    if question_set.other:
        problems.append(
            f"{counted(len(question_set.other), 'question is', 'questions are')} neither on a known market nor of a given day: "
            f"{_some(question_set.other)}."
        )
    return problems


def _coverage(question_set: QuestionSet, given: set[tuple[str, str, str | None]]) -> list[str]:
    """Their rule: a series counts as covered with a forecast for one of its days."""
    problems = []
    covered = {(id, source) for id, source, _ in given}
    for kind, of_kind in (
        ("market", {(id, source) for _, id, source, day in question_set.slots if day is None}),
        ("series", {(id, source) for _, id, source, day in question_set.slots if day is not None}),
    ):
        if of_kind and len(of_kind & covered) < LEAST_COVERED * len(of_kind):
            problems.append(
                f"{len(of_kind & covered)} of {len(of_kind)} {kind} questions have a forecast: below {100 * LEAST_COVERED:g} % a set "
                "is not ranked."
            )
    return problems


def _late(table: ForecastTable, question_set: QuestionSet) -> list[str]:
    if table.times is None:
        return []
    try:
        end = datetime.combine(datetime.fromisoformat(question_set.due).date(), _LAST_SECOND).timestamp()
    except ValueError:
        return [f"{question_set.name}: forecast_due_date {question_set.due} is no date."]
    late = int((~np.isnan(table.values) & (table.times > end)).sum())
    if not late:
        return []
    return [
        f"{counted(late, 'forecast was', 'forecasts were')} made after {question_set.due} had ended (UTC): sets are taken until then only."
    ]


def _wrong_name(file_name: str, question_set: QuestionSet, organization: str) -> list[str]:
    name = f"{question_set.due}.{organization}"
    if re.fullmatch(re.escape(name) + r"\.[1-3]\.json", file_name):
        return []
    return [f"{file_name}: must be called {name}.N.json when it is uploaded, N being 1 to 3."]


def _some(ids: Any) -> str:
    return ", ".join(ids[:_SHOWN]) + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
