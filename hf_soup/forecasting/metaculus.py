"""Questions that were saved from the API of Metaculus: posts (since 2024), and the questions of the API before it.

Written from the fields that clients of the API read, not compared with an answer of the live service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hf_soup.forecasting.importers import Imported, Row, importer, is_list_of_mappings

_KINDS = ("question", "group_of_questions", "conditional", "notebook")
_OLD_OUTCOMES: Mapping[Any, str] = {1: "yes", 0: "no", -1: "ambiguous", -2: "annulled"}


def _is_metaculus(document: Any) -> bool:
    entries = _entries(document)
    return bool(entries) and any(_is_post(each) or "possibilities" in each or _is_question(each) for each in entries)


@importer("Metaculus API", _is_metaculus)
def metaculus(document: Any, imported: Imported) -> None:
    """Binary questions only; those of a group are rows of one group, with the id `post/question`.

    `close_date` is when a question was to close: when it did close, and when an open one shall be resolved, is left out, since
    a question that closed early mostly ended with yes. `crowd` is the last recency-weighted median.
    """
    for entry in _entries(document):
        if _is_post(entry):
            _post(entry, imported)
        elif _is_question(entry):
            _question(entry, entry, imported, str(entry.get("id")), None)
        else:
            _old_question(entry, imported)


def _entries(document: Any) -> list[Mapping[str, Any]]:
    if isinstance(document, Mapping) and isinstance(document.get("results"), list):
        document = document["results"]
    if isinstance(document, Mapping):
        document = [document]
    return list(document) if is_list_of_mappings(document) else []


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _is_post(entry: Mapping[str, Any]) -> bool:
    return any(isinstance(entry.get(kind), Mapping) for kind in _KINDS)


def _is_question(entry: Mapping[str, Any]) -> bool:
    return "scheduled_close_time" in entry and "type" in entry and "title" in entry


def _post(post: Mapping[str, Any], imported: Imported) -> None:
    number = post.get("id")
    group = post.get("group_of_questions")
    if isinstance(post.get("question"), Mapping):
        _question(post["question"], post, imported, str(number), None)
    elif isinstance(group, Mapping):
        for question in _mappings(group.get("questions")):
            shared = {name: group.get(name) for name in ("description", "resolution_criteria", "fine_print")}
            own = {name: value for name, value in question.items() if value not in (None, "")}
            _question(shared | own, post, imported, f"{number}/{question.get('id')}", str(number))
    else:
        imported.skip(number, "a post without a question of its own")


def _question(
    question: Mapping[str, Any], post: Mapping[str, Any], imported: Imported, id: str, group: str | None
) -> None:
    if question.get("type") != "binary":
        imported.skip(id, "not binary")
        return
    crowd, crowd_time = _last_median(question.get("aggregations"))
    imported.rows.append(
        _texts(question, post)
        | {
            "id": id,
            "open_date": question.get("open_time") or post.get("published_at") or question.get("created_at"),
            "close_date": question.get("scheduled_close_time"),
            "resolution": question.get("resolution"),
            "resolution_date": question.get("actual_resolve_time") if question.get("resolution") else None,
            "crowd": crowd,
            "crowd_time": crowd_time,
            "group": group,
        }
    )


def _old_question(entry: Mapping[str, Any], imported: Imported) -> None:
    kind = entry.get("possibilities")
    if not isinstance(kind, Mapping) or kind.get("type") != "binary":
        imported.skip(entry.get("id"), "not binary")
        return
    outcome = entry.get("resolution")
    full = entry.get("community_prediction")
    full = full.get("full") if isinstance(full, Mapping) else None
    imported.rows.append(
        _texts(entry, entry)
        | {
            "id": str(entry.get("id")),
            "open_date": entry.get("publish_time") or entry.get("created_time"),
            "close_date": entry.get("close_time"),
            "resolution": _OLD_OUTCOMES.get(outcome, outcome) if isinstance(outcome, int | float) else outcome,
            "resolution_date": entry.get("resolve_time") if outcome is not None else None,
            "crowd": full.get("q2") if isinstance(full, Mapping) else None,
        }
    )


def _texts(question: Mapping[str, Any], post: Mapping[str, Any]) -> Row:
    return {
        "question": question.get("title") or post.get("title"),
        "background": question.get("description"),
        "resolution_criteria": question.get("resolution_criteria"),
        "fine_print": question.get("fine_print"),
        "topic": next(_categories(post), None),
        "source": "metaculus",
    }


def _categories(post: Mapping[str, Any]) -> Iterator[str]:
    projects = post.get("projects")
    for category in _mappings(projects.get("category") if isinstance(projects, Mapping) else None):
        if category.get("name"):
            yield str(category["name"])


def _last_median(aggregations: Any) -> tuple[Any, Any]:
    """The probability and the moment of the last aggregate; seconds since 1970 are what its times are written in."""
    weighted = aggregations.get("recency_weighted") if isinstance(aggregations, Mapping) else None
    if not isinstance(weighted, Mapping):
        return None, None
    latest, history = weighted.get("latest"), _mappings(weighted.get("history"))
    last = latest if isinstance(latest, Mapping) else (history or [{}])[-1]
    centers = last.get("centers")
    if not isinstance(centers, list) or not centers:
        return None, None
    return centers[-1], _moment(last.get("start_time"))


def _moment(seconds: Any) -> Any:
    """Seconds since 1970 as a date; what is none of these is left to the check of dates."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return seconds
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return str(seconds)
