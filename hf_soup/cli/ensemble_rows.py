"""Rows of the commands of `hf-soup ensemble`: read as far as they can be, and what was left out of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from hf_soup.evaluation import HeldOut
    from hf_soup.problems import Problems


def labelled(
    data: Path | None, tests: dict[str, str], task: str | None, like: dict[str, Any], problems: Problems
) -> tuple[HeldOut | None, dict[str, Any]]:
    """The rows in all files, as far as they can be read. `task` None: it is not known how; then they must be tables.

    `like`: options of `HeldOut`.
    """
    from hf_soup.evaluation import HeldOut

    held_out: HeldOut | None = None
    if data is not None and task is not None:
        held_out = problems.of(lambda: HeldOut(data, task=task, unreadable="leave_out", **like))
    elif data is not None:
        problems.of(partial(exists, data))
    others: dict[str, Any] = {}
    for name, path in tests.items():
        read = partial(held_out.like, path, name) if held_out is not None else partial(exists, path)
        others[name] = problems.of(read)
    return held_out, others


def exists(path: str | Path) -> None:
    from hf_soup.evaluation.data_files import read_table

    read_table(path)


def left_out_rows(sets: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"data": rows.name, "row": one.row, "id": one.id, "reason": one.reason}
        for rows in sets
        for one in getattr(rows, "left_out", ())
    ]


def end(left_out: Sequence[Any]) -> None:
    """Ends a command that is done; with exit code 3 where parts are missing."""
    if left_out:
        raise typer.Exit(3)
