"""The tasks that an ensemble can have: those whose models classify."""

from __future__ import annotations

from hf_soup.errors import InputError
from hf_soup.evaluation.predictions import Kind
from hf_soup.evaluation.task import Task, all_tasks


def classifying_task(name: str | None) -> Task:
    """Returns the task of an ensemble. Raises InputError, listing those that there are, for another one or none."""
    known = {each: found for each, found in all_tasks().items() if found.kind is Kind.CLASSIFICATION}
    if name in known:
        return known[name]
    if name in all_tasks():
        raise InputError(f"An ensemble classifies; there is none for {name}. Its tasks: {', '.join(sorted(known))}.")
    said = f"There is no task '{name}'" if name is not None else "An ensemble needs a task (--task)"
    raise InputError(f"{said}; its tasks: {', '.join(sorted(known))}.")
