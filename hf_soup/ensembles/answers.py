"""The labels that belong to predictions which were made elsewhere: one file, or several that hold no row twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import Table, read_table, row_numbers
from hf_soup.evaluation.labels import label_name
from hf_soup.problems import Problems

_SHOWN = 5


@dataclass(frozen=True)
class Answers:
    """By row. `ids` None: rows are known by their places; `groups` None: each row is its own."""

    name: str
    ids: list[str] | None
    labels: list[str]
    groups: list[str] | None


def read_answers(
    paths: Sequence[str | Path | None], renamed: Mapping[str, str], group_by: str | None, problems: Problems
) -> tuple[list[Answers], Answers | None]:
    """Returns (the answers of each file, all of them below each other); None where there are none, or where one cannot be read."""
    given = [Path(path) for path in paths if path is not None]
    found = [problems.of(partial(_answers, path, renamed, group_by)) for path in given]
    several = [each for each in found if each is not None]
    if not several or len(several) < len(given):
        return several, None
    return several, problems.of(lambda: _together(several))


def _together(several: Sequence[Answers]) -> Answers:
    """All sets below each other. Raises InputError for rows without ids, and rows in two sets."""
    if len(several) == 1:
        return several[0]
    problems, seen = [], dict[str, str]()
    for each in several:
        if each.ids is None:
            problems.append(
                f"{each.name}: has no column 'id', by which rows are told apart from those of the other sets."
            )
        twice = [name for name in each.ids or () if name in seen]
        if twice:
            problems.append(
                f"{each.name}: has {some_rows(twice)}, which {seen[twice[0]]} has too; a row can be in one set."
            )
        seen |= dict.fromkeys(each.ids or (), each.name)
    if problems:
        raise InputError(problems)
    groups = [group for each in several for group in each.groups or ()]
    return Answers(
        " and ".join(each.name for each in several),
        [name for each in several for name in each.ids or ()],
        [label for each in several for label in each.labels],
        groups or None,
    )


def _answers(path: Path, renamed: Mapping[str, str], group_by: str | None) -> Answers:
    table = read_table(path)
    problems = []
    for name in (renamed["label"], *([group_by] if group_by else [])):
        if name not in table.columns:
            problems.append(f"{table.name}: has no column '{name}'; its columns: {', '.join(table.columns)}.")
            continue
        empty = [number for number, record in enumerate(table.records, 1) if _is_empty(record.get(name))]
        if empty:
            problems.append(f"{table.name}: {row_numbers(empty)}: '{name}' is empty.")
    if problems:
        raise InputError(problems)

    def column(name: str) -> list[str]:
        return [label_name(record[name]) for record in table.records]

    return Answers(
        table.name,
        row_ids(table, renamed["id"]) if renamed["id"] in table.columns else None,
        column(renamed["label"]),
        column(group_by) if group_by else None,
    )


def row_ids(table: Table, column: str) -> list[str]:
    """Returns the ids. Raises InputError for rows without one, and for one that several rows have."""
    empty = [number for number, record in enumerate(table.records, 1) if _is_empty(record.get(column))]
    if empty:
        raise InputError(f"{table.name}: {row_numbers(empty)}: '{column}' is empty.")
    ids = [label_name(record[column]) for record in table.records]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise InputError(f"{table.name}: has {some_rows(twice)} more than once.")
    return ids


def some_rows(ids: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return f"row{'s' if len(ids) > 1 else ''} {shown}{more}"


def _is_empty(value: Any) -> bool:
    return value is None or not str(value).strip() or value != value
