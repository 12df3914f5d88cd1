"""What `push` needs to know of a result, whatever kind it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel

from hf_soup.merging.record import FileRecord, IngredientRecord
from hf_soup.publishing.ingredient_cards import IngredientCard
from hf_soup.publishing.licences import Licence


class Publishable(Protocol):
    """A finished result in a folder, with its record. `private` is everywhere the Hub IDs that must not be named."""

    @property
    def folder(self) -> Path: ...

    @property
    def record_name(self) -> str:
        """The file name of the record."""
        ...

    @property
    def message(self) -> str:
        """Of the commit."""
        ...

    @property
    def again(self) -> str:
        """What to do when a file is not as it was made, for a message: `merge again`."""
        ...

    @property
    def ingredients(self) -> Sequence[IngredientRecord]: ...

    @property
    def outputs(self) -> Mapping[str, FileRecord]:
        """Every file that was made, as it was then."""
        ...

    def repositories(self) -> list[str]:
        """Every Hub ID that is named in the record."""
        ...

    def copies(self) -> list[str]:
        """Hub IDs of models whose own weights, or what was trained from them, lie in the folder, not only something that was computed
        from several."""
        ...

    def copied(self) -> str:
        """What of `copies()` lies there, for a message: `the weights of`."""
        ...

    def without_copies(self) -> str:
        """How to publish without them, for a message; "" where there is no way."""
        ...

    def licensors(self) -> list[IngredientRecord]:
        """Whose weights are in the result: first the ingredients, in their order."""
        ...

    def is_fixed(self, path: str) -> bool:
        """Whether the file decides about the weights, so that it must be what was made; others may be edited."""
        ...

    def problems(self, private: frozenset[str]) -> list[str]:
        """What stops a publication of this kind, beside what every one is checked for."""
        ...

    def with_outputs(self, outputs: Mapping[str, FileRecord]) -> Self:
        """The same with other digests in the record."""
        ...

    def record_for(self, private: frozenset[str]) -> BaseModel:
        """The record as it is published."""
        ...

    def card_files(
        self, cards: Sequence[IngredientCard], licence: Licence | None, repo_id: str, private: frozenset[str]
    ) -> dict[str, bytes]:
        """README.md and its pictures. `cards`: of the ingredients."""
        ...
