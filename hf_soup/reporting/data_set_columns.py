"""Which type each column of a published table has, so that a reader need not guess it from the first rows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

TIME = "timestamp[us, tz=UTC]"
_WORDS: dict[frozenset[type], str] = {
    frozenset(): "string",  # nothing is known in this column; other tables of its kind have words there
    frozenset({datetime}): TIME,
    frozenset({str}): "string",
    frozenset({bool}): "bool",
    frozenset({int}): "int64",
    frozenset({float}): "float64",
    frozenset({int, float}): "float64",
}


def data_set_columns(lines: bytes) -> list[dict[str, str]]:
    """Returns a `features` list of a data set's card for JSON lines: name and type of each column, in the order of the file.

    A reader of large files takes the types of the first megabytes for those of all: a column that is empty there and holds words
    later could not be loaded without this. Moments with a time zone are moments, since pyarrow reads them as such and would write them
    in another way as words. "sequence" is the word for a list that also readers before datasets 4 know.

    >>> data_set_columns(b'{"a": 1, "b": null, "c": ["x"]}')
    [{'name': 'a', 'dtype': 'int64'}, {'name': 'b', 'dtype': 'string'}, {'name': 'c', 'sequence': 'string'}]
    """
    single: dict[str, set[type]] = {}
    listed: dict[str, set[type]] = {}
    for line in lines.splitlines():
        for name, value in json.loads(line).items():
            types = single.setdefault(name, set())
            if isinstance(value, list):
                listed.setdefault(name, set()).update(map(type, value))
            elif value is not None:
                types.add(datetime if isinstance(value, str) and _is_moment(value) else type(value))
    return [_column(name, types, listed.get(name)) for name, types in single.items()]


def _column(name: str, types: set[type], inside: set[type] | None) -> dict[str, Any]:
    if inside is not None:
        return {"name": name, "sequence": _WORDS[frozenset(inside)]}
    if str in types:  # among other words, what looks like a moment is one of them
        types = types - {datetime}
    return {"name": name, "dtype": _WORDS[frozenset(types)]}


def _is_moment(text: str) -> bool:
    if not text[:4].isdigit() or "T" not in text[:11]:
        return False
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
