"""Where the models that a record names are to be found, and which of them cannot be found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_soup.checkpoints import PinnedRef
from hf_soup.checkpoints.reference import checked_subfolder
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME, IngredientRecord

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Places:
    """`given`: folders or `REPO@COMMIT` by the names in the record; every other model is taken from its pinned commit."""

    given: Mapping[str, str | Path]
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    record: str = RECORD_NAME
    """The file name of the record that names them, for messages."""

    def of(self, one: IngredientRecord) -> str | Path | PinnedRef:
        """Returns where a recorded model is. `problems` has to be asked before."""
        place = self.given.get(one.name) or one.pinned()
        assert place is not None
        return place

    def problems(self, recorded: Sequence[IngredientRecord]) -> Iterator[str]:
        """Yields a sentence for each model that is neither pinned nor given, and for given names that are not recorded."""
        yield from dict.fromkeys(self._problems(recorded))

    def _problems(self, recorded: Sequence[IngredientRecord]) -> Iterator[str]:
        """With repetitions: several adapters have one base."""
        names = list(dict.fromkeys(one.name for one in recorded))
        for name in self.given:
            if name not in names:
                yield f"{self.record} names no ingredient '{name}'; it names: {', '.join(names)}."
        for one in recorded:
            if one.name in self.given:
                continue
            if one.repo_id is None:
                yield (
                    f"The ingredient '{one.name}' is not on the Hub, or its name is withheld; say where it is with "
                    f"--ingredient '{one.name}=DIR' (a folder, or REPO@COMMIT)."
                )
            elif not _COMMIT.fullmatch(one.revision or ""):
                yield (
                    f"{self.record} does not pin {one.name} to a commit ('{one.revision}'), so what it was made of is not known."
                )
            else:
                try:
                    checked_subfolder(one.subfolder, one.name)
                except InputError as error:
                    yield from (f"{self.record}: {problem}" for problem in error.problems)
