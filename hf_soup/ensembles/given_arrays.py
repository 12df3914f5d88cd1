"""Predictions as somebody hands them over: arrays of each member, checked together and made one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.ensembles.suspicion import looks_softmaxed_twice
from hf_soup.ensembles.tiers import row_blocks, softmax
from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.evaluation.labels import label_name

_FURTHEST_SUM = 0.01  # probabilities written with two or three decimals
_ROUNDED_SUM = 1e-3  # what float16 leaves; beyond it somebody should know


@dataclass(frozen=True)
class Wording:
    """How whoever gave the arrays says something about them, for messages. `logits`: that they are logits. `missing`: that a row of
    NaN means silence; None where that cannot be said."""

    logits: str = "logits=True"
    missing: str | None = "missing=True"


IN_PYTHON = Wording()
OF_A_FUNCTION = Wording("FunctionMember(…, logits=True)", None)


@dataclass(frozen=True, eq=False)
class GivenArrays:
    """`values`: float32 [members, rows, classes]. `sizes`: the number of members of each family."""

    values: np.ndarray
    families: tuple[str, ...]
    sizes: tuple[int, ...]
    members: tuple[str, ...]
    classes: tuple[str, ...]
    ids: np.ndarray
    labels: np.ndarray | None
    groups: np.ndarray | None
    warnings: tuple[str, ...]


def read_arrays(
    families: Mapping[str, Sequence[Any]],
    labels: Sequence[Any] | None,
    classes: Sequence[str] | None,
    groups: Sequence[Any] | None,
    ids: Sequence[str] | None,
    members: Sequence[str] | None,
    *,
    logits: bool,
    missing: bool,
    wording: Wording = IN_PYTHON,
) -> GivenArrays:
    """Returns what was given, checked. See `MemberProbabilities.of`. Raises InputError with all problems."""
    problems: list[str] = []
    warnings: list[str] = []
    given = {str(name): _members_of(arrays) for name, arrays in families.items()}
    if not given:
        problems.append("There is no family; give {'name': [probabilities of each member]}.")
    problems += [f"Family {name} has no member; leave it out." for name, arrays in given.items() if not arrays]
    names = _member_names(given, members, problems)
    arrays = _read_numbers([array for several in given.values() for array in several], names, problems)
    n_classes = _number_of_classes(arrays, classes, problems)
    rows = _number_of_rows(arrays, problems)
    class_names = _class_names(classes, n_classes, problems)
    row_ids = _ids(ids, rows, problems)
    label_indices = _labels(labels, class_names, classes is not None, rows, problems)
    group_indices = _groups(groups, rows, problems)
    values = np.empty((len(names), rows, n_classes), np.float32)
    for place, (name, array) in enumerate(arrays.items()):
        if array.shape in ((rows,), (rows, 1), (rows, n_classes)):
            reader = _ReadMember(name, array, values[place], logits=logits, missing=missing, wording=wording)
            problems += reader.problems
            warnings += reader.warnings
    if problems:
        raise InputError(problems)
    for name, member in zip(names, values, strict=True):
        if not logits and looks_softmaxed_twice(member, label_indices):
            warnings.append(
                f"{name}: its probabilities look like a softmax of probabilities (none is above "
                f"{np.nanmax(member):.3f}): a softmax may have been taken twice. Give the model's logits, and say so: {wording.logits}."
            )
    return GivenArrays(
        values,
        tuple(given),
        tuple(len(several) for several in given.values()),
        tuple(names),
        class_names,
        row_ids,
        label_indices,
        group_indices,
        tuple(warnings),
    )


def _members_of(arrays: Any) -> list[Any]:
    """An array alone, rather than a list of arrays, is one member."""
    if isinstance(arrays, np.ndarray) and arrays.ndim <= 2:
        return [arrays]
    return list(arrays)


def _member_names(given: Mapping[str, list[Any]], members: Sequence[str] | None, problems: list[str]) -> list[str]:
    numbered = [f"{name}/{number}" for name, arrays in given.items() for number in range(1, len(arrays) + 1)]
    family_of = [name for name, arrays in given.items() for _ in arrays]
    if members is None:
        return numbered
    names = [str(name) for name in members]
    if len(names) != len(numbered):
        problems.append(f"members: {len(names)} names for {len(numbered)} members.")
        return numbered
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"members: {', '.join(twice)} is named more than once; every member needs a name of its own.")
        return numbered
    for name, family in zip(names, family_of, strict=True):
        if name in given and name != family:
            problems.append(f"Member {name} of family {family} has the name of another family; rename one of them.")
    return names


def _read_numbers(given: list[Any], names: list[str], problems: list[str]) -> dict[str, np.ndarray]:
    """The arrays by member, without those that are none."""
    arrays = {}
    for name, each in zip(names, given, strict=True):
        try:
            array = np.asarray(each)
            if array.dtype.kind not in "fiub":
                array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            problems.append(f"{name}: is not an array of numbers ({error}).")
            continue
        if array.ndim not in (1, 2) or not array.size:
            problems.append(
                f"{name}: has shape {array.shape}; give [rows, classes], or [rows] for the second of two classes."
            )
            continue
        arrays[name] = array
    return arrays


def _columns(array: np.ndarray) -> int:
    return 2 if array.ndim == 1 or array.shape[1] == 1 else int(array.shape[1])


def _number_of_classes(arrays: Mapping[str, np.ndarray], classes: Sequence[str] | None, problems: list[str]) -> int:
    found = {name: _columns(array) for name, array in arrays.items()}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} {number}" for name, number in found.items())
        problems.append(
            f"The members have different numbers of classes: {shown}. Members of another task do not belong here."
        )
    return next(iter(found.values()), len(classes) if classes is not None else 2)


def _number_of_rows(arrays: Mapping[str, np.ndarray], problems: list[str]) -> int:
    found = {name: len(array) for name, array in arrays.items()}
    if len(set(found.values())) > 1:
        shown = ", ".join(f"{name} {number:,}" for name, number in found.items())
        problems.append(
            f"The members' predictions are on different rows: {shown} rows. All must be on the same, in the same order."
        )
    return next(iter(found.values()), 0)


def _class_names(classes: Sequence[str] | None, number: int, problems: list[str]) -> tuple[str, ...]:
    if classes is None:
        return tuple(map(str, range(number)))
    names = tuple(label_name(name) for name in classes)
    if len(names) < 2:
        problems.append(f"classes: {', '.join(names) or 'none'}; there must be two or more.")
    if len(set(names)) < len(names):
        problems.append(f"classes: {', '.join(sorted({n for n in names if names.count(n) > 1}))} stands there twice.")
    if len(names) != number:
        problems.append(f"classes: {len(names)} names ({', '.join(names[:10])}) for {number} columns.")
        return tuple(map(str, range(number)))
    return names


def _ids(ids: Sequence[str] | None, rows: int, problems: list[str]) -> np.ndarray:
    if ids is None:
        return np.arange(1, rows + 1).astype(np.str_)
    if len(ids) != rows:
        problems.append(f"ids: {len(ids):,} for {rows:,} rows.")
    return np.asarray(ids).astype(np.str_)


def _labels(
    labels: Sequence[Any] | None, classes: tuple[str, ...], named: bool, rows: int, problems: list[str]
) -> np.ndarray | None:
    if labels is None:
        return None
    given = np.asarray(labels)
    if given.shape != (rows,):
        problems.append(f"labels: has shape {given.shape}, there are {rows:,} rows.")
        return None
    missing = _missing(given)
    if len(missing):
        problems.append(f"labels: are missing in {row_numbers((missing + 1).tolist())}.")
        return None
    if given.dtype.kind in "OUS" and any(isinstance(value, str | bytes) for value in given.tolist()):
        return _named_labels([label_name(value) for value in given.tolist()], classes, named, problems)
    try:
        numbers = given.astype(np.float64)
    except (TypeError, ValueError):
        problems.append("labels: are neither whole numbers nor names.")
        return None
    wrong = np.flatnonzero((numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= len(classes)))
    if len(wrong):
        problems.append(
            f"labels: must be whole numbers from 0 to {len(classes) - 1}, the columns of the arrays; {given[wrong[0]]} in "
            f"{row_numbers((wrong + 1).tolist())}."
        )
        return None
    return numbers.astype(np.int64)


def _named_labels(labels: list[str], classes: tuple[str, ...], named: bool, problems: list[str]) -> np.ndarray | None:
    if not named:
        problems.append(
            f"labels: are names ({', '.join(sorted(set(labels))[:10])}), and nothing says which column is which; give "
            "classes=(…), the names in the order of the columns."
        )
        return None
    place = {name: index for index, name in enumerate(classes)}
    unknown = [number for number, label in enumerate(labels, 1) if label not in place]
    if unknown:
        found = ", ".join(sorted({labels[number - 1] for number in unknown})[:10])
        problems.append(f"labels: {found} in {row_numbers(unknown)} is none of the classes {', '.join(classes)}.")
        return None
    return np.array([place[label] for label in labels], np.int64)


def _groups(groups: Sequence[Any] | None, rows: int, problems: list[str]) -> np.ndarray | None:
    if groups is None:
        return None
    given = np.asarray(groups)
    if given.shape != (rows,):
        problems.append(f"groups: has shape {given.shape}, there are {rows:,} rows.")
        return None
    missing = _missing(given)
    if len(missing):
        problems.append(f"groups: are missing in {row_numbers((missing + 1).tolist())}; every row needs one.")
        return None
    if given.dtype.kind == "O":
        given = given.astype(np.str_)
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


def _missing(given: np.ndarray) -> np.ndarray:
    """Indices of None, NaN and blank texts."""
    if given.dtype.kind == "f":
        return np.flatnonzero(np.isnan(given))
    if given.dtype.kind == "U":
        return np.flatnonzero(np.char.strip(given) == "")
    if given.dtype.kind != "O":
        return np.empty(0, np.int64)
    values = given.tolist()
    return np.array([at for at, v in enumerate(values) if v is None or v != v or not str(v).strip()], np.int64)


class _ReadMember:
    """Writes one member's probabilities into `out` [rows, classes], block by block, and notes what is wrong with them."""

    def __init__(
        self, name: str, array: np.ndarray, out: np.ndarray, *, logits: bool, missing: bool, wording: Wording
    ) -> None:
        self._name, self._logits, self._missing, self._wording = name, logits, missing, wording
        self._not_finite: list[int] = []
        self._out_of_range: list[int] = []
        self._wrong_sums: list[int] = []
        self._worst_sum, self._silent, self._already = 1.0, 0, True
        array = array.reshape(len(array), -1)
        for block in row_blocks(len(array), out.shape[1]):
            out[block] = self._read(array[block].astype(np.float64), block.start)

    def _read(self, values: np.ndarray, start: int) -> np.ndarray:
        silent = np.isnan(values).all(axis=1) if self._missing else np.zeros(len(values), bool)
        wrong = ~np.isfinite(values).all(axis=1) & ~silent
        self._silent += int(silent.sum())
        self._note(self._not_finite, wrong, start)
        values[wrong] = 0.5  # refused in the end; until then it must not disturb the other checks
        return self._from_logits(values) if self._logits else self._from_probabilities(values, wrong, start)

    def _from_logits(self, values: np.ndarray) -> np.ndarray:
        if values.shape[1] == 1:
            self._already = False  # one logit between 0 and 1 is nothing odd
            return softmax(np.concatenate([np.zeros_like(values), values], axis=1))
        with np.errstate(invalid="ignore"):
            near_one = np.abs(values.sum(axis=1) - 1) < _ROUNDED_SUM
        self._already &= bool(((values >= 0).all(axis=1) & near_one | np.isnan(values[:, 0])).all())
        return softmax(values)

    def _from_probabilities(self, values: np.ndarray, wrong: np.ndarray, start: int) -> np.ndarray:
        if values.shape[1] == 1:
            self._note(self._out_of_range, ((values < 0) | (values > 1))[:, 0], start)
            return np.concatenate([1 - values, values], axis=1)
        outside = np.any(values < -1e-6, axis=1)
        self._note(self._out_of_range, outside, start)
        sums = values.sum(axis=1, keepdims=True)
        off = np.where(wrong | outside | np.isnan(sums[:, 0]), 0.0, np.abs(sums[:, 0] - 1))
        self._note(self._wrong_sums, np.greater(off, _FURTHEST_SUM), start)
        furthest = sums[int(off.argmax()), 0]
        if abs(furthest - 1) > abs(self._worst_sum - 1) and off.max() > 0:
            self._worst_sum = float(furthest)
        return np.maximum(values, 0.0) / np.where(sums == 0, 1.0, sums)

    @staticmethod
    def _note(where: list[int], wrong: np.ndarray, start: int) -> None:
        where += (np.flatnonzero(wrong) + start + 1).tolist()

    @property
    def problems(self) -> list[str]:
        found = []
        if self._not_finite:
            hint = (
                f" If a row of NaN means that the member says nothing about it: {self._wording.missing}."
                if self._wording.missing is not None and not self._missing
                else ""
            )
            found.append(f"{self._name}: NaN or infinity in {row_numbers(self._not_finite)}.{hint}")
        if self._out_of_range:
            found.append(
                f"{self._name}: values below 0 or above 1 in {row_numbers(self._out_of_range)}; probabilities are fractions. If they "
                f"are logits: {self._wording.logits}."
            )
        if self._wrong_sums:
            found.append(
                f"{self._name}: probabilities do not sum to 1 in {row_numbers(self._wrong_sums)} (furthest: {self._worst_sum:.4g}). "
                f"If they are logits: {self._wording.logits}."
            )
        if self._logits and self._already:
            found.append(
                f"{self._name}: every row is positive and sums to 1: these are probabilities already, and another softmax would "
                f"spoil them; leave out {self._wording.logits}."
            )
        return found

    @property
    def warnings(self) -> list[str]:
        found = []
        if self._silent:
            found.append(
                f"{self._name}: says nothing about {self._silent:,} rows; weights are fitted on the rows that all members know."
            )
        if not self._wrong_sums and abs(self._worst_sum - 1) > _ROUNDED_SUM:
            found.append(
                f"{self._name}: its rows sum to 1 only roughly (furthest: {self._worst_sum:.4g}); they were divided by their sums."
            )
        return found
