"""By which the rows that an ensemble was fitted or tested on are known again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hf_soup.ensembles.probabilities import MemberProbabilities


def data_fingerprint(data: MemberProbabilities) -> str:
    """Returns a SHA-256 of the rows' ids, labels and grouping, whatever the order of the rows and the members' answers."""
    labels = [None] * data.rows if data.labels is None else [data.classes[label] for label in data.labels]
    rows: list[list[Any]] = [[str(name), label] for name, label in zip(data.ids, labels, strict=True)]
    if data.groups is not None:
        # A group has no name that stays; it is known by its rows.
        groups: dict[int, list[list[Any]]] = {}
        for group, row in zip(data.groups.tolist(), rows, strict=True):
            groups.setdefault(group, []).append(row)
        names = {group: _digest(sorted(members, key=str)) for group, members in groups.items()}
        rows = [[*row, names[group]] for group, row in zip(data.groups.tolist(), rows, strict=True)]
    return _digest(sorted(rows, key=str))


def _digest(rows: list[list[Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
