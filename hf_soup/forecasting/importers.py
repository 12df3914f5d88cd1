"""Questions in the formats of others, recognised by what is in the file, as rows with our columns.

A format is one module with a function that is decorated with `importer`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from hf_soup.errors import InputError

Row = dict[str, Any]


@dataclass(frozen=True)
class Skipped:
    """A question of the file that is not among the rows. `reason`: such as "not binary"."""

    id: str
    reason: str


@dataclass
class Imported:
    """`format`: its name, None for rows that have our columns already. Of a foreign format, `crowd` is a fraction."""

    format: str | None
    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, id: Any, reason: str) -> None:
        self.skipped.append(Skipped(str(id), reason))

    def notes(self) -> list[str]:
        """Returns a sentence for each reason why questions were skipped, with their number and the first ids."""
        ids: dict[str, list[str]] = {}
        for each in self.skipped:
            ids.setdefault(each.reason, []).append(each.id)
        return [
            f"{len(those)} left out ({reason}): {', '.join(those[:3])}{', …' if len(those) > 3 else ''}."
            for reason, those in ids.items()
        ]


@dataclass(frozen=True)
class Importer:
    """`recognises`: whether a parsed JSON document is of this format."""

    name: str
    recognises: Callable[[Any], bool]
    convert: Callable[[Any, Imported], None]


_IMPORTERS: dict[str, Importer] = {}


def importer(
    name: str, recognises: Callable[[Any], bool]
) -> Callable[[Callable[[Any, Imported], None]], Callable[[Any, Imported], None]]:
    """Registers a function that puts the questions of a document into an `Imported`."""

    def register(convert: Callable[[Any, Imported], None]) -> Callable[[Any, Imported], None]:
        _IMPORTERS[name] = Importer(name, recognises, convert)
        return convert

    return register


def importers() -> dict[str, Importer]:
    """Returns all importers by name."""
    for module in ("forecastbench", "metaculus", "autocast"):
        import_module(f"hf_soup.forecasting.{module}")
    return dict(_IMPORTERS)


def import_questions(path: str | Path) -> Imported:
    """Returns the questions of a JSON file. Raises InputError for a file that is missing, damaged or of no known format."""
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON: line {error.lineno}: {error.msg}.") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply to be a list of questions.") from error
    formats = [each for each in importers().values() if each.recognises(document)]
    if formats:
        imported = Imported(formats[0].name)
        formats[0].convert(document, imported)
    elif is_list_of_mappings(document) and any("question" in row or "id" in row for row in document):
        imported = Imported(None, rows=document)
    else:
        raise InputError(
            f"{path}: is of no known format; known: {', '.join(importers())}, or a list of objects with the columns of questions."
        )
    if not imported.rows:
        reasons = Counter(each.reason for each in imported.skipped)
        why = "; ".join(f"{count} left out: {reason}" for reason, count in reasons.items())
        raise InputError(f"{path}: has no binary question{f' ({why})' if why else ''}.")
    return imported


def is_list_of_mappings(document: Any) -> bool:
    return isinstance(document, list) and bool(document) and all(isinstance(each, Mapping) for each in document)
