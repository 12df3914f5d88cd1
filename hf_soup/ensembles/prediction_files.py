"""Predictions that were made elsewhere, one file a member, and the labels that belong to them.

A table (CSV, JSONL, Parquet) has a column `id` and a column for each class, named after it; with two classes one of them is
enough. An array (.npy) has the classes' order that `classes` says and the rows' order of the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import Table, read_table, row_numbers
from hf_soup.evaluation.labels import label_name

_NO_CLASSES = ("label", "predicted", "group")
_SHOWN = 5


@dataclass(frozen=True)
class Answers:
    """By row. `ids` None: rows are known by their places; `groups` None: each row is its own."""

    name: str
    ids: list[str] | None
    labels: list[str]
    groups: list[str] | None


@dataclass(frozen=True)
class MemberFile:
    """One member's file. `values`: float64 [rows, classes], or [rows] of an array with one column.

    `ids` and `classes` are None for an array, which has neither.
    """

    name: str
    ids: list[str] | None
    classes: tuple[str, ...] | None
    values: np.ndarray


@dataclass(frozen=True)
class PredictionFiles:
    """Files that can be read once it is known for which ensemble. `labels`: of one or more sets of rows."""

    families: Mapping[str, Sequence[str | Path]]
    labels: tuple[Path, ...]
    logits: bool = False

    def read(
        self, classes: Sequence[str], columns: Mapping[str, str], group_by: str | None
    ) -> dict[str, MemberProbabilities]:
        """Returns each set by the name of its labels. Raises what `read_predictions` raises."""
        first, *others = self.labels
        data, tests = read_predictions(
            self.families,
            first,
            {str(path): path for path in others},
            classes=classes,
            columns=columns,
            group_by=group_by,
            logits=self.logits,
        )
        return {str(first): data, **tests}


def read_predictions(
    families: Mapping[str, Sequence[str | Path]],
    labels: str | Path | None = None,
    tests: Mapping[str, str | Path] | None = None,
    *,
    classes: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    group_by: str | None = None,
    logits: bool = False,
) -> tuple[MemberProbabilities, dict[str, MemberProbabilities]]:
    """Returns the members' probabilities for the rows in `labels`, and for those of each test set.

    `families`: the files of each family's members; a member is called as its file. `labels`, and each of `tests`: a table with
    the columns id and label; a member's file holds the rows of all of them, and without labels those of the first file.
    `columns`: {"id": "qid", "label": "target"} for columns of other names. `group_by`: a column of `labels`. `logits`: the
    files hold logits. Raises InputError with all problems: files without ids or numbers, rows or classes that differ between
    members, rows in two sets, labels that are no class, and what `MemberProbabilities.of` finds.
    """
    renamed = {"id": "id", "label": "label", **(columns or {})}
    if unknown := sorted(set(renamed) - {"id", "label"}):
        raise InputError(f"columns: predictions have no column '{unknown[0]}' to rename; they have id and label.")
    problems = [
        f"The family '{name}' has no members; give it a file." for name, paths in families.items() if not paths
    ]
    if not families:
        problems.append("There are no predictions; give a file for each member: --predictions NAME=FILE,FILE.")
    if tests and labels is None:
        problems.append("Test sets need labelled rows to fit on beside them (--data).")
    if problems:
        raise InputError(problems)
    sets = [Path(path) for path in (labels, *(tests or {}).values()) if path is not None]
    several = [_answers(path, renamed, group_by) for path in sets]
    answers = _together(several) if several else None
    files = _read_all(families, {*renamed.values(), *_NO_CLASSES, *([group_by] if group_by else [])}, renamed["id"])
    names = _classes(files, classes, answers)
    ids, values = _aligned(files, names, answers, logits)
    places = iter(values)
    whole = MemberProbabilities.of(
        {family: [next(places) for _ in paths] for family, paths in families.items()},
        labels=None if answers is None else answers.labels,
        classes=names,
        groups=None if answers is None else answers.groups,
        ids=ids,
        members=[file.name for file in files],
        logits=logits,
    )
    if len(several) < 2:
        return whole, {}
    ends = np.cumsum([len(each.labels) for each in several])
    parts = [whole.subset(np.arange(end - len(each.labels), end)) for each, end in zip(several, ends, strict=True)]
    return parts[0], dict(zip(tests or {}, parts[1:], strict=True))


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
                f"{each.name}: has {_some_rows(twice)}, which {seen[twice[0]]} has too; a row can be in one set."
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
        _ids(table, renamed["id"]) if renamed["id"] in table.columns else None,
        column(renamed["label"]),
        column(group_by) if group_by else None,
    )


def _read_all(families: Mapping[str, Sequence[str | Path]], no_classes: set[str], id_column: str) -> list[MemberFile]:
    paths = [(family, Path(path)) for family, members in families.items() for path in members]
    files: list[MemberFile] = []
    problems: list[str] = []
    for name, (_, path) in zip(_member_names(paths), paths, strict=True):
        try:
            files.append(_array(name, path) if path.suffix == ".npy" else _table(name, path, no_classes, id_column))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return files


def _member_names(paths: Sequence[tuple[str, Path]]) -> list[str]:
    """The files' names; with their family, and then their number, where two would be called the same."""
    counts = Counter(path.stem for _, path in paths)
    names = [path.stem if counts[path.stem] == 1 else f"{family}/{path.stem}" for family, path in paths]
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name}-{place}" for place, name in enumerate(names, 1)]


def _array(name: str, path: Path) -> MemberFile:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is not a readable .npy file ({error}).") from error
    if not np.issubdtype(values.dtype, np.number) or values.ndim not in (1, 2):
        raise InputError(f"{path}: holds {values.dtype} of shape {values.shape}; numbers [rows, classes] are needed.")
    return MemberFile(name, None, None, values.astype(np.float64))


def _table(name: str, path: Path, no_classes: set[str], id_column: str) -> MemberFile:
    table = read_table(path)
    if id_column not in table.columns:
        raise InputError(
            f"{table.name}: has no column '{id_column}', by which rows are matched; its columns: {', '.join(table.columns)}. "
            "Say which one it is: --column id=…"
        )
    classes = tuple(column for column in table.columns if column not in no_classes)
    if not classes:
        raise InputError(f"{table.name}: has no column of probabilities beside '{id_column}'; one a class is needed.")
    values = np.empty((len(table.records), len(classes)))
    problems = []
    for place, column in enumerate(classes):
        wrong = []
        for row, record in enumerate(table.records):
            number = _number(record.get(column))
            if number is None:
                wrong.append(row + 1)
            else:
                values[row, place] = number
        if wrong:
            problems.append(f"{table.name}: {row_numbers(wrong)}: '{column}' is not a number.")
    if problems:
        raise InputError(problems)
    return MemberFile(name, _ids(table, id_column), classes, values)


def _classes(files: Sequence[MemberFile], given: Sequence[str] | None, answers: Answers | None) -> list[str]:
    """The names of all classes: as given, else those of the tables' columns, in their natural order."""
    known = list(given) if given else None
    from_tables = {file.classes for file in files if file.classes is not None and len(file.classes) > 1}
    if known is None and from_tables:
        known = sorted(next(iter(from_tables)), key=_natural)
    if known is None and answers is not None:
        labels = sorted(set(answers.labels), key=_natural)
        columns = {file.values.shape[1] if file.values.ndim == 2 else 2 for file in files}
        named = all(file.classes is None or set(file.classes) <= set(labels) for file in files)
        if (any(file.classes is not None for file in files) and len(labels) == 2 and named) or (
            columns == {len(labels)} and labels == [str(number) for number in range(len(labels))]
        ):
            known = labels
    if known is None:
        raise InputError(
            "It is not known which column stands for which class; say so in the columns' order: --classes NAME,NAME,… "
            "(classes=[…])."
        )
    problems = []
    for file in files:
        if file.classes is None:
            continue
        one_of_two = len(known) == 2 and len(file.classes) == 1 and file.classes[0] in known
        if not one_of_two and set(file.classes) != set(known):
            problems.append(
                f"{file.name}: has columns for {', '.join(file.classes)}; the classes are {', '.join(known)}. All members must have "
                "the same."
            )
    if answers is not None:
        unknown = [number for number, label in enumerate(answers.labels, 1) if label not in known]
        if unknown:
            names = sorted({answers.labels[number - 1] for number in unknown}, key=_natural)
            problems.append(
                f"{answers.name}: {row_numbers(unknown)}: {', '.join(names)} is not a class of the predictions "
                f"({', '.join(known)})."
            )
    if problems:
        raise InputError(problems)
    return known


def _aligned(
    files: Sequence[MemberFile], classes: Sequence[str], answers: Answers | None, logits: bool
) -> tuple[list[str] | None, list[np.ndarray]]:
    """Returns (ids, each member's values) in the order of the answers' rows, or of the first file that has ids."""
    with_ids = [file for file in files if file.ids is not None]
    reference: tuple[str, list[str] | None] = (
        (answers.name, answers.ids)
        if answers is not None
        else next(((file.name, file.ids) for file in with_ids), (files[0].name, None))
    )
    where, ids = reference
    if with_ids and ids is None:
        raise InputError(
            f"{where}: has no column 'id', by which the rows of {with_ids[0].name} are matched; say which one it is: --column id=…"
        )
    if answers is None and ids is not None and len(with_ids) < len(files):
        without = next(file.name for file in files if file.ids is None)
        raise InputError(f"{without}: an array has no ids, so that its rows can only be matched with labels (--data).")
    rows = len(ids) if ids is not None else len(answers.labels) if answers is not None else len(files[0].values)
    problems, values = [], []
    for file in files:
        if file.ids is None or ids is None:
            if len(file.values) != rows:
                problems.append(f"{file.name}: has {len(file.values)} rows, {where} has {rows}.")
            else:
                values.append(file.values)
            continue
        place = {name: row for row, name in enumerate(file.ids)}
        lacking = [name for name in ids if name not in place]
        wanted = set(ids)
        extra = [name for name in file.ids if name not in wanted]
        if lacking:
            problems.append(f"{file.name}: has no {_some_rows(lacking)}, which {where} has.")
        if extra:
            problems.append(f"{file.name}: has {_some_rows(extra)}, which {where} has not.")
        if not lacking and not extra:
            values.append(_in_class_order(file, classes, logits)[[place[name] for name in ids]])
    if problems:
        raise InputError(problems)
    return ids, values


def _in_class_order(file: MemberFile, classes: Sequence[str], logits: bool) -> np.ndarray:
    """[rows, classes]; of a file with one of two classes [rows], of the second one."""
    assert file.classes is not None
    if len(file.classes) == 1:
        only = file.values[:, 0]
        if file.classes[0] == classes[1]:
            return only
        return -only if logits else 1 - only
    return file.values[:, [file.classes.index(name) for name in classes]]


def _ids(table: Table, column: str) -> list[str]:
    empty = [number for number, record in enumerate(table.records, 1) if _is_empty(record.get(column))]
    if empty:
        raise InputError(f"{table.name}: {row_numbers(empty)}: '{column}' is empty.")
    ids = [label_name(record[column]) for record in table.records]
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise InputError(f"{table.name}: has {_some_rows(twice)} more than once.")
    return ids


def _some_rows(ids: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return f"row{'s' if len(ids) > 1 else ''} {shown}{more}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _is_empty(value: Any) -> bool:
    return value is None or not str(value).strip() or value != value


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
