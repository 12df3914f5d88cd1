"""Question sets of ForecastBench, as published in the repository forecastingresearch/forecastbench-datasets.

Read against the sets of 2024-12-08 and 2026-09-27. How questions ended stands in other files (`resolution_sets`), which are not
read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_soup.forecasting.importers import Imported, Row, importer

MARKETS = {"infer", "manifold", "metaculus", "polymarket"}
_NOTHING = "N/A"


def is_question_set(document: Any) -> bool:
    """Returns whether a parsed JSON document is a question set."""
    return (
        isinstance(document, Mapping)
        and "forecast_due_date" in document
        and isinstance(document.get("questions"), list)
    )


@importer("ForecastBench question set", is_question_set)
def forecastbench(document: Any, imported: Imported) -> None:
    """A question on a market is one row; its value on the day the set was frozen is the crowd's.

    A question on a time series is asked for several days: one row each, with the id `source/id@day`, all of one group. It
    opens on the day forecasts were due, which it compares with. The value of its series when the set was frozen
    stands in the background: it is no probability. Combinations of two questions are skipped.
    """
    due = document["forecast_due_date"]
    for entry in document["questions"]:
        if not isinstance(entry, Mapping):
            imported.skip(entry, "no object")
        elif isinstance(entry.get("id"), list) or isinstance(entry.get("combination_of"), list):
            imported.skip(_joined(entry.get("id")), "combines two questions")
        elif isinstance(entry.get("resolution_dates"), list):
            days = entry["resolution_dates"]
            imported.rows += [_on_series(entry, due, day) for day in days]
            if not days:
                imported.skip(entry.get("id"), "without a date of resolution")
        elif str(entry.get("source")) in MARKETS:
            imported.rows.append(_on_market(entry))
        else:
            imported.skip(entry.get("id"), "without a date of resolution")


def _on_market(entry: Mapping[str, Any]) -> Row:
    return _row(entry) | {
        "id": question_id(entry),
        "open_date": _field(entry, "market_info_open_datetime"),
        "close_date": _field(entry, "market_info_close_datetime"),
        "crowd": _field(entry, "freeze_datetime_value"),
        "crowd_time": _field(entry, "freeze_datetime"),
    }


def _on_series(entry: Mapping[str, Any], due: str, day: str) -> Row:
    row = _row(entry)
    value, explanation = _field(entry, "freeze_datetime_value"), _field(entry, "freeze_datetime_value_explanation")
    if value is not None:
        known = f"Value on {str(entry.get('freeze_datetime'))[:10]}: {value}" + (
            f" ({explanation})" if explanation else ""
        )
        row["background"] = "\n\n".join(filter(None, (row["background"], known)))
    for column in ("question", "background", "resolution_criteria"):
        if isinstance(row[column], str):
            row[column] = row[column].replace("{resolution_date}", str(day)).replace("{forecast_due_date}", str(due))
    return row | {
        "id": question_id(entry, day),
        "open_date": due,
        "close_date": day,
        "resolution_date": day,
        "group": question_id(entry),
    }


def _row(entry: Mapping[str, Any]) -> Row:
    return {
        "question": entry.get("question"),
        "background": _field(entry, "background"),
        "resolution_criteria": _field(entry, "resolution_criteria"),
        "fine_print": _field(entry, "market_info_resolution_criteria"),
        "source": _field(entry, "source"),
    }


def question_id(entry: Mapping[str, Any], day: str | None = None) -> str | None:
    """Returns the id of a question here, since theirs are unique within a source only; `day`: for which a series is asked."""
    if not entry.get("id"):
        return None
    return f"{entry.get('source')}/{entry['id']}" + (f"@{day}" if day else "")


def _field(entry: Mapping[str, Any], name: str) -> Any:
    value = entry.get(name)
    return None if value == _NOTHING else value


def _joined(ids: Any) -> str:
    return "+".join(map(str, ids)) if isinstance(ids, list) else str(ids)
