"""The answers of all members to the same rows, as they come in; and who could not answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_soup.ensembles.member import Member
from hf_soup.ensembles.opening import OnMissing
from hf_soup.ensembles.rows import Rows
from hf_soup.ensembles.voting import Voting
from hf_soup.errors import SoupError
from hf_soup.evaluation.data_files import row_numbers


class MemberFailed(SoupError):
    """A member cannot be asked any more; `name` says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Ballots:
    """`values`: float32 [M, N, C] in the order of `names`; NaN where a member was not asked, or answered NaN."""

    def __init__(
        self,
        members: Sequence[Member],
        rows: Rows,
        voting: Voting,
        *,
        on_missing: OnMissing,
        batch_size: int | None = None,
    ) -> None:
        self.names = tuple(member.name for member in members)
        self.values = np.full((len(members), len(rows), len(voting.classes)), np.nan, np.float32)
        self.asked = np.zeros(self.values.shape[:2], bool)
        self.warnings: list[str] = []
        self._members = dict(zip(self.names, members, strict=True))
        self._place = {name: place for place, name in enumerate(self.names)}
        self._rows = rows
        self._voting = voting
        self._on_missing = on_missing
        self._batch_size = batch_size

    def of(self, names: Sequence[str]) -> np.ndarray:
        """The answers of these members, [members, N, C]."""
        return self.values[[self._place[name] for name in names]]

    def asked_of(self, names: Sequence[str]) -> np.ndarray:
        """Who of these members was asked about which row, bool [members, N]."""
        return self.asked[[self._place[name] for name in names]]

    def ask(self, name: str, among: np.ndarray | None = None) -> None:
        """Asks one member about the rows (bool [N], all without) that it has not been asked about.

        Raises SoupError, naming member and rows, when it fails or gives NaN; with `on_missing="reweigh"` MemberFailed when it
        fails, and a warning for rows of NaN.
        """
        place = self._place[name]
        wanted = ~self.asked[place] if among is None else among & ~self.asked[place]
        places = np.flatnonzero(wanted)
        if not len(places):
            return
        rows = self._rows if len(places) == len(self._rows) else self._rows.subset(places)
        try:
            answer = self._voting.probabilities(self._members[name], rows, self._batch_size)
        except SoupError as error:
            if self._on_missing == "error":
                raise
            raise MemberFailed(name, str(error)) from error
        self.asked[place] |= wanted
        self.values[place, places] = answer
        if (silent := np.isnan(answer).any(axis=1)).any():
            numbers = (places[silent] + 1).tolist()
            said = f"{name} gives NaN or infinity for {len(numbers)} of {len(rows)} rows ({row_numbers(numbers)})"
            if self._on_missing == "error":
                raise SoupError(
                    f"{said}. Leave this member out, or say on_missing='reweigh' to let the others decide there."
                )
            self.warnings.append(f"{said}; there the others decide.")
