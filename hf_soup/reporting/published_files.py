"""The files of a published report, made in memory: what is known of this machine and of private servers stays out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.run_folder import CALLS
from hf_soup.forecasting.scrub import scrub_all, secrets_of_environment
from hf_soup.reporting.forecast_report import Report
from hf_soup.reporting.run_facts import public_reason, without_places
from hf_soup.scoring.documents import document
from hf_soup.scoring.table import ForecastTable

# All as JSON lines: a reader of data sets takes one format for all tables of a repository.
FORECASTS, QUESTIONS, AGGREGATE = "forecasts.jsonl", "questions.jsonl", "aggregate.jsonl"
_OF_THE_SERVER = ("api_base", "base_url", "api_key", "api_key_env", "extra_headers", "extra_query")


def published_files(
    report: Report,
    *,
    questions: Sequence[Question] | None,
    texts: Mapping[str, str],
    run: Forecasts | None,
    with_transcripts: bool,
) -> dict[str, bytes]:
    """Returns contents by file name: forecasts, questions, aggregate, scores, the report as HTML and Markdown, transcripts.

    Every row of a table has the same columns.

    Raises InputError where transcripts are wanted of what is no run.
    """
    found = report.findings
    table = found.table
    contents = {
        QUESTIONS: _lines(_questions(table, questions, texts)),
        AGGREGATE: _lines(found.scoring.aggregates.rows()),
        "scores.json": _json(found.scoring.to_json()),
        "report.html": report.html().encode(),
        "report.md": report.markdown().encode(),
    }
    contents[FORECASTS] = _lines(_forecasts(table) if run is None else _rows_of_run(run, table))
    if with_transcripts:
        if run is None:
            raise InputError("--with-transcripts: ready-made forecasts have no transcripts; leave it out.")
        contents[CALLS] = _lines(_calls(run.path / CALLS, table))
    return contents


def _questions(
    table: ForecastTable, questions: Sequence[Question] | None, texts: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Every row has the same fields, so that a reader of columns finds them all."""
    if questions is not None:
        names = [field.name for field in fields(Question) if field.name != "row"]
        for each in questions:
            row = {name: getattr(each, name) for name in names}
            yield {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        return
    for n, id in enumerate(table.questions):
        outcome = table.outcomes[n]
        ended = "annulled" if table.annulled[n] else None if np.isnan(outcome) else "yes" if outcome else "no"
        yield {
            "id": id,
            "question": texts.get(id),
            "resolution": ended,
            "crowd": float(table.crowd[n]),
            "group": int(table.groups[n]),
            "topic": table.topics[n],
            "source": table.sources[n],
        }


def _forecasts(table: ForecastTable) -> Iterator[dict[str, Any]]:
    for question, member, sample in np.argwhere(~np.isnan(table.values)).tolist():
        row = {
            "question_id": table.questions[question],
            "model": table.members[member],
            "sample": sample,
            "probability": float(table.values[question, member, sample]),
        }
        if table.times is not None:
            seconds = table.times[question, member, sample]
            row["time"] = None if np.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat()
        yield row


def _rows_of_run(run: Forecasts, table: ForecastTable) -> Iterator[dict[str, Any]]:
    members, questions = set(table.members), set(table.questions)
    for row in run.rows:
        if row.model in members and row.question_id in questions:
            shown = {name: row_text and without_places(row_text) for name, row_text in _texts_of_servers(row)}
            yield {**row.model_dump(mode="json"), **shown, "reason": public_reason(row)}


def _texts_of_servers(row: Any) -> list[tuple[str, str | None]]:
    """A prompt may be a file of this machine, and a server of one's own calls its model by a path."""
    return [("prompt", row.prompt), ("returned_model", row.returned_model)]


def _calls(path: Path, table: ForecastTable) -> Iterator[dict[str, Any]]:
    members, questions = set(table.members), set(table.questions)
    if not path.is_file():
        raise InputError(
            f"{path}: is not there, so there are no transcripts to publish; leave out --with-transcripts."
        )
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                call = json.loads(line)
            except ValueError:  # the line that was being written when a run was killed
                continue
            if call["member"] in members and call["question_id"] in questions:
                yield _public_call(call)


def _public_call(call: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in call.items() if name not in _OF_THE_SERVER}
    for name in ("requested", "effective"):
        shown[name] = {key: value for key, value in (call.get(name) or {}).items() if key not in _OF_THE_SERVER}
    if call.get("error"):  # what a library says about a failure names servers and files
        shown["error"] = {"kind": call["error"].get("kind"), "http_status": call["error"].get("http_status")}
    if call.get("returned_model"):
        shown["returned_model"] = without_places(call["returned_model"])
    shown["prompt"] = without_places(call.get("prompt") or "")
    return dict(scrub_all(shown, secrets_of_environment()))


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(document(row), ensure_ascii=False) + "\n" for row in rows).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(document(value), indent=2, ensure_ascii=False) + "\n").encode()
