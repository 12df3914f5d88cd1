"""A finished result in a folder with a record of its ingredients and of the files that were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from hf_soup.merging.record import RECORD_NAME, FileRecord, IngredientRecord


class Record(Protocol):
    @property
    def ingredients(self) -> list[IngredientRecord]: ...

    @property
    def outputs(self) -> dict[str, FileRecord]: ...

    def model_copy(self, *, update: Mapping[str, Any]) -> Self: ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class RecordedFolder(Generic[R]):
    """What is the same for every kind of `hf_soup.publishing.publishable.Publishable`."""

    folder: Path
    record: R
    record_name: str = RECORD_NAME

    @property
    def ingredients(self) -> Sequence[IngredientRecord]:
        return self.record.ingredients

    @property
    def outputs(self) -> Mapping[str, FileRecord]:
        return self.record.outputs

    def copies(self) -> list[str]:
        return []

    def copied(self) -> str:
        return "the weights of"

    def without_copies(self) -> str:
        return ""

    def with_outputs(self, outputs: Mapping[str, FileRecord]) -> Self:
        return replace(self, record=self.record.model_copy(update={"outputs": dict(outputs)}))
