"""What every member of an ensemble says about every row: the probabilities that everything else here is computed from."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.ensembles.given_arrays import GivenArrays, read_arrays
from hf_soup.ensembles.tiers import Tier1, Tiers, row_blocks
from hf_soup.errors import InputError

_VALUES, _ROWS, _ABOUT = "values.npy", "rows.npz", "probabilities.json"
_FORMAT = 1
UNNAMED = "held-out"
"""What a report calls fitting rows that have no name."""


@dataclass(frozen=True)
class Family:
    """`members`: indices into the members of the `MemberProbabilities` that hold the family."""

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class MemberProbabilities:
    """Probabilities of M members for N rows and C classes.

    `values`: float32 [M, N, C], also a memory map; rows sum to 1, and a row of NaN means that the member says nothing about it.
    `ids`: str [N]. `labels`: int64 [N], indices into `classes`; None where they are not known. `groups`: int64 [N], what stays
    together in splits and resampling; None: each row for itself. `warnings`: what looked odd when they were read. `name`: of the rows
    in messages, as a file has one; "" where they have none.
    """

    values: np.ndarray
    members: tuple[str, ...]
    families: tuple[Family, ...]
    classes: tuple[str, ...]
    ids: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.members), len(self.ids), len(self.classes))
        if self.values.shape != shape:
            raise ValueError(f"MemberProbabilities: values has shape {self.values.shape}, expected {shape}.")
        for name in ("labels", "groups"):
            if (array := getattr(self, name)) is not None and array.shape != shape[1:2]:
                raise ValueError(f"MemberProbabilities: {name} has shape {array.shape}, expected {shape[1:2]}.")
        places = sorted(place for family in self.families for place in family.members)
        if places != list(range(len(self.members))):
            raise ValueError("MemberProbabilities: every member must be in exactly one family.")

    @classmethod
    def of(
        cls,
        families: Mapping[str, Sequence[Any]],
        labels: Sequence[Any] | None = None,
        classes: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        members: Sequence[str] | None = None,
        logits: bool = False,
        missing: bool = False,
    ) -> MemberProbabilities:
        """Returns the checked predictions of each member; the arrays are copied.

        >>> MemberProbabilities.of({"bert": [[[0.8, 0.2]], [[0.6, 0.4]]], "mini": [[0.3]]}).members
        ('bert/1', 'bert/2', 'mini/1')

        `families`: for each name its members' arrays, [rows, classes], or [rows] with the probability (or the one logit) of the
        second of two classes. `labels`: whole numbers, from 0, in the order of the columns, or names that are in `classes`.
        `classes`: names of the columns. `groups`: any values. `ids`: of the rows; without, their numbers. `members`: names in
        the order of the families. `logits`: the arrays hold logits, which become probabilities here, once. `missing`: a row of
        NaN means that the member says nothing about it; without this, NaN is an error.

        Raises InputError with all problems: no family, a family without members, arrays that are not numbers, differ in rows
        or classes, hold NaN or infinity, are not probabilities (or, with `logits`, are already), labels or groups that are
        missing, too many or unknown. Rows that sum to 1 within 0.01 are divided by their sums. What looks like a softmax of
        probabilities is a warning.
        """
        return cls.checked(
            read_arrays(families, labels, classes, groups, ids, members, logits=logits, missing=missing)
        )

    @classmethod
    def checked(cls, given: GivenArrays) -> MemberProbabilities:
        """Returns arrays that `read_arrays` has checked, family by family."""
        starts = np.cumsum([0, *given.sizes])
        return cls(
            values=given.values,
            members=given.members,
            families=tuple(
                Family(name, tuple(range(start, start + size)))
                for name, start, size in zip(given.families, starts, given.sizes, strict=False)
            ),
            classes=given.classes,
            ids=given.ids,
            labels=given.labels,
            groups=given.groups,
            warnings=given.warnings,
        )

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def family_members(self) -> dict[str, tuple[str, ...]]:
        """The names of each family's members."""
        return {family.name: tuple(self.members[place] for place in family.members) for family in self.families}

    @property
    def complete_rows(self) -> np.ndarray:
        """bool [N]: the rows about which every member says something."""
        complete = np.ones(self.rows, bool)
        for member in self.values:
            complete &= ~np.isnan(member[:, 0])
        return complete

    def subset(self, rows: np.ndarray) -> MemberProbabilities:
        """The given rows (indices, or bool [N]) in their order, copied."""
        return MemberProbabilities(
            values=np.ascontiguousarray(self.values[:, rows]),
            members=self.members,
            families=self.families,
            classes=self.classes,
            ids=self.ids[rows],
            labels=None if self.labels is None else self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            warnings=self.warnings,
            name=self.name,
        )

    def family_values(self, tier1: Tier1 = "mean", temperatures: Mapping[str, float] | None = None) -> np.ndarray:
        """Returns what each family says as a whole, float64 [families, N, C]; rows sum to 1.

        `tier1`: see `hf_soup.ensembles.tiers`. `temperatures`: by name, of all members (each divides its log-probabilities before
        they are averaged) or of all families (what was averaged is divided); none without. NaN where no member speaks.
        """
        tiers = Tiers.of(self.family_members, "tiered", tier1, temperatures or {})
        order = [place for family in self.families for place in family.members]
        values = np.empty((len(self.families), self.rows, len(self.classes)))
        for block in row_blocks(self.rows, len(self.members) * len(self.classes)):
            values[:, block] = tiers.inputs(self.values[order, block])
        return values

    def save(self, folder: str | Path) -> None:
        """Writes `values.npy`, `rows.npz` and, last, `probabilities.json` into the folder, which is made where it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"ids": self.ids}
        rows.update({name: array for name in ("labels", "groups") if (array := getattr(self, name)) is not None})
        about = {
            "format": _FORMAT,
            "members": self.members,
            "families": [asdict(family) for family in self.families],
            "classes": self.classes,
            "warnings": self.warnings,
            "name": self.name,
        }
        # Beside the old files first: they may be what `values` is a map of.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as name:
            temporary = Path(name)
            np.save(temporary / _VALUES, self.values)
            np.savez(temporary / _ROWS, **rows)  # type: ignore[arg-type]
            (temporary / _ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            (folder / _ABOUT).unlink(missing_ok=True)
            for file in (_VALUES, _ROWS, _ABOUT):
                (temporary / file).replace(folder / file)

    @classmethod
    def load(cls, folder: str | Path) -> MemberProbabilities:
        """Reads what `save` wrote; `values` is a read-only memory map. Raises InputError for anything else."""
        folder = Path(folder)
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise ValueError(f"its format is {about['format']}, this version reads {_FORMAT}")
            with np.load(folder / _ROWS, allow_pickle=False) as file:
                rows = {name: file[name] for name in file.files}
            return cls(
                values=np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False),
                members=tuple(about["members"]),
                families=tuple(Family(each["name"], tuple(each["members"])) for each in about["families"]),
                classes=tuple(about["classes"]),
                ids=rows["ids"],
                labels=rows.get("labels"),
                groups=rows.get("groups"),
                warnings=tuple(about["warnings"]),
                name=about.get("name", ""),
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{folder}: is not a readable folder of saved probabilities ({error}); make them again."
            ) from error
