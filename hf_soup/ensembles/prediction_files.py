"""Predictions that were made elsewhere, one file a member, and the labels that belong to them.

A table (CSV, JSONL, Parquet) has a column `id` and a column for each class, named after it; with two classes one of them is
enough. An array (.npy) has the classes' order that `classes` says and the rows' order of the labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hf_soup.ensembles.answers import Answers, read_answers, some_rows
from hf_soup.ensembles.given_arrays import Wording, read_arrays
from hf_soup.ensembles.given_predictions import Names, as_members_of, names_of_members
from hf_soup.ensembles.member_files import MemberFile, member_names, read_member_file
from hf_soup.ensembles.opening import OnMissing
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.problems import Problems

_NO_CLASSES = ("label", "predicted", "group")


@dataclass(frozen=True)
class PredictionFiles:
    """Files that can be read once it is known for which ensemble. `labels`: of one or more sets of rows."""

    families: Mapping[str, Sequence[str | Path]]
    labels: tuple[Path, ...]
    logits: bool = False

    def read(
        self,
        classes: Sequence[str],
        columns: Mapping[str, str],
        group_by: str | None,
        members: Names | None = None,
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
            members=members,
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
    members: Names | None = None,
    on_missing: OnMissing = "error",
) -> tuple[MemberProbabilities, dict[str, MemberProbabilities]]:
    """Returns the members' probabilities for the rows in `labels`, and for those of each test set.

    `families`: the files of each family's members; a member is called as its file. `labels`, and each of `tests`: a table with
    the columns id and label; a member's file holds the rows of all of them, and without labels those of the first file.
    `columns`: {"id": "qid", "label": "target"} for columns of other names. `group_by`: a column of `labels`. `logits`: the
    files hold logits. `members`: of the ensemble whose members these are; see `names_of_members` for files of other names, and for
    `on_missing`. Raises InputError with the problems of all files: without ids or numbers, rows or classes that differ between members, rows in two
    sets, labels that are no class, and what `MemberProbabilities.of` finds.
    """
    renamed = {"id": "id", "label": "label", **(columns or {})}
    if unknown := sorted(set(renamed) - {"id", "label"}):
        raise InputError(f"columns: predictions have no column '{unknown[0]}' to rename; they have id and label.")
    problems = Problems()
    problems.extend(
        f"The family '{name}' has no members; give it a file." for name, paths in families.items() if not paths
    )
    if not families:
        problems.add("There are no predictions; give a file for each member: --predictions NAME=FILE,FILE.")
    if tests and labels is None:
        problems.add("Test sets need labelled rows to fit on beside them (--data).")
    several, answers = read_answers([labels, *(tests or {}).values()], renamed, group_by, problems)
    read = _Files(
        families, {*renamed.values(), *_NO_CLASSES, *([group_by] if group_by else [])}, renamed["id"], problems
    )
    if members is not None and families:
        wanted = members
        problems.of(lambda: names_of_members(wanted, read.names, on_missing))
    whole = read.together(classes, answers, logits, labels_are_known=answers is not None or labels is None)
    problems.raise_any()
    assert whole is not None
    if members is not None:
        whole = as_members_of(members, whole, whole.classes, on_missing)
    if len(several) < 2:
        return replace(whole, name=several[0].name if several else ""), {}
    ends = np.cumsum([len(each.labels) for each in several])
    parts = [
        replace(
            whole.subset(np.arange(end - len(each.labels), end)),
            name=each.name,
        )
        for each, end in zip(several, ends, strict=True)
    ]
    return parts[0], dict(zip(tests or {}, parts[1:], strict=True))


class _Files:
    """The members' files. What is wrong with one does not hide what is wrong with another."""

    def __init__(
        self,
        families: Mapping[str, Sequence[str | Path]],
        no_classes: set[str],
        id_column: str,
        problems: Problems,
    ) -> None:
        self._problems = problems
        self._files: dict[str, list[MemberFile]] = {}
        self.names: dict[str, list[str]] = {family: [] for family in families}
        """Of all members by family, also of those whose files cannot be read."""
        paths = [(family, Path(path)) for family, members in families.items() for path in members]
        for name, (family, path) in zip(member_names(paths), paths, strict=True):
            self.names[family].append(name)
            file = problems.of(partial(read_member_file, name, path, no_classes, id_column))
            if file is not None:
                problems.extend(file.problems)
                self._files.setdefault(family, []).append(file)
        self._complete = len(paths) == sum(map(len, self._files.values()))

    def together(
        self, classes: Sequence[str] | None, answers: Answers | None, logits: bool, *, labels_are_known: bool
    ) -> MemberProbabilities | None:
        """Returns what all say, as far as their files are sound; their problems are noted."""
        files = [file for several in self._files.values() for file in several]
        names = _classes(files, classes, answers)
        if names is None:
            if files and labels_are_known and self._complete:
                self._problems.add(
                    "It is not known which column stands for which class; say so in the columns' order: --classes NAME,NAME,… "
                    "(classes=[…])."
                )
            return None
        strange = dict(_strangers(files, names))
        self._problems.extend(strange.values())
        unknown = _unknown_labels(answers, names) if answers is not None else ""
        if unknown:
            self._problems.add(unknown)
        if not labels_are_known and any(file.ids is None for file in files):
            return None  # an array's rows are those of the labels
        alike = [file for file in files if file.name not in strange]
        found = self._problems.of(lambda: _aligned(alike, names, answers, logits)) if alike else None
        if found is None:
            return None
        ids, values, problems = found
        self._problems.extend(problems)
        sound = {
            family: [values[file.name] for file in several if file.name in values and not file.problems]
            for family, several in self._files.items()
        }
        given = (
            self._problems.of(
                lambda: read_arrays(
                    {family: arrays for family, arrays in sound.items() if arrays},
                    answers.labels if answers is not None and not unknown else None,
                    names,
                    answers.groups if answers is not None else None,
                    ids,
                    [file.name for file in files if file.name in values and not file.problems],
                    logits=logits,
                    missing=False,
                    wording=Wording("--logits (logits=True)", None),
                )
            )
            if any(sound.values())
            else None
        )
        return None if given is None else MemberProbabilities.checked(given)


def _classes(files: Sequence[MemberFile], given: Sequence[str] | None, answers: Answers | None) -> list[str] | None:
    """The names of all classes: as given, else those of the tables' columns, in their natural order; None where nothing says it.

    Where tables differ, those are right that know all labels, and then those that are more.
    """
    if given:
        return list(given)
    labels = sorted(set(answers.labels), key=_natural) if answers is not None else []
    tables = Counter(frozenset(file.classes) for file in files if file.classes is not None and len(file.classes) > 1)
    if tables:
        best, _ = max(tables.items(), key=lambda item: (item[0].issuperset(labels), item[1]))
        return sorted(best, key=_natural)
    columns = {file.values.shape[1] if file.values.ndim == 2 else 2 for file in files}
    named = all(file.classes is None or set(file.classes) <= set(labels) for file in files)
    if (any(file.classes is not None for file in files) and len(labels) == 2 and named) or (
        columns == {len(labels)} and labels == [str(number) for number in range(len(labels))]
    ):
        return labels
    return None


def _strangers(files: Sequence[MemberFile], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the name of each file whose classes are others, and the problem."""
    for file in files:
        if file.classes is None:
            continue
        one_of_two = len(known) == 2 and len(file.classes) == 1 and file.classes[0] in known
        if not one_of_two and set(file.classes) != set(known):
            yield (
                file.name,
                f"{file.name}: has columns for {', '.join(file.classes)}; the classes are {', '.join(known)}. All members must have "
                "the same.",
            )


def _unknown_labels(answers: Answers, known: Sequence[str]) -> str:
    """The problem, empty where every label is a class."""
    unknown = [number for number, label in enumerate(answers.labels, 1) if label not in known]
    if not unknown:
        return ""
    names = sorted({answers.labels[number - 1] for number in unknown}, key=_natural)
    return f"{answers.name}: {row_numbers(unknown)}: {', '.join(names)} is not a class of the predictions ({', '.join(known)})."


def _aligned(
    files: Sequence[MemberFile], classes: Sequence[str], answers: Answers | None, logits: bool
) -> tuple[list[str] | None, dict[str, np.ndarray], list[str]]:
    """Returns (ids, values by member, problems), in the order of the answers' rows, or of the first file that has ids.

    A file whose rows are others is a problem and has no values. Raises InputError where rows cannot be matched at all.
    """
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
    problems: list[str] = []
    values: dict[str, np.ndarray] = {}
    for file in files:
        if file.ids is None or ids is None:
            if len(file.values) != rows:
                problems.append(f"{file.name}: has {len(file.values)} rows, {where} has {rows}.")
            else:
                values[file.name] = file.values
            continue
        place = {name: row for row, name in enumerate(file.ids)}
        lacking = [name for name in ids if name not in place]
        wanted = set(ids)
        extra = [name for name in file.ids if name not in wanted]
        if lacking:
            problems.append(f"{file.name}: has no {some_rows(lacking)}, which {where} has.")
        if extra:
            problems.append(f"{file.name}: has {some_rows(extra)}, which {where} has not.")
        if not lacking and not extra:
            values[file.name] = _in_class_order(file, classes, logits)[[place[name] for name in ids]]
    return ids, values, problems


def _in_class_order(file: MemberFile, classes: Sequence[str], logits: bool) -> np.ndarray:
    """[rows, classes]; of a file with one of two classes [rows], of the second one."""
    assert file.classes is not None
    if len(file.classes) == 1:
        only = file.values[:, 0]
        if file.classes[0] == classes[1]:
            return only
        return -only if logits else 1 - only
    return file.values[:, [file.classes.index(name) for name in classes]]


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
