"""Rows that a model is trained on must not be those that it is judged on, nor belong together with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hf_soup.evaluation import HeldOut
from hf_soup.evaluation.cells import CELLS
from hf_soup.evaluation.data_files import row_numbers

_SHOWN_GROUPS = 5


def overlap_problems(train: HeldOut, judged: HeldOut, role: str) -> list[str]:
    """Returns a sentence for what rows of training and rows for judging share: contents, whatever their labels, or groups.

    `role`: what the judged rows are, for the message: "held-out rows".
    """
    return list(_problems(train, judged, role))


def _problems(train: HeldOut, judged: HeldOut, role: str) -> Iterator[str]:
    if train.fingerprint == judged.fingerprint:
        yield f"{train.name}: holds the same rows as {judged.name}, the {role}; members are trained on other rows than they are judged on."
        return
    known = set(_contents(judged))
    same = [number for number, content in enumerate(_contents(train), 1) if content in known]
    if same:
        yield (
            f"{train.name}: {row_numbers(same)}: also among the {role} ({judged.name}), where they would be judged on what they were "
            "trained on; take them out of one of the two."
        )
    if judged.groups is None:
        return
    if train.groups is None:
        yield (
            f"{train.name}: the {role} ({judged.name}) are grouped by '{judged.group_by}', and it is not known which of these groups are "
            f"trained on; say HeldOut(…, group_by='{judged.group_by}') for the training rows too."
        )
    elif shared := sorted(set(train.groups) & set(judged.groups)):
        shown = ", ".join(f"'{group}'" for group in shared[:_SHOWN_GROUPS])
        more = f" and {len(shared) - _SHOWN_GROUPS} more" if len(shared) > _SHOWN_GROUPS else ""
        yield (
            f"{train.name}: {shown}{more} of '{judged.group_by}' are also among the {role} ({judged.name}); what belongs together must not "
            "be split between training and judging."
        )


def _contents(rows: HeldOut) -> list[str]:
    """What identifies each row without its label."""
    assert rows.task_type is not None
    names = [name for name in (*rows.task_type.required, *rows.task_type.optional) if name != "label"]
    return [
        json.dumps([(name, CELLS[name](example[name], Path())[1]) for name in names if name in example])
        for example in rows.examples
    ]
