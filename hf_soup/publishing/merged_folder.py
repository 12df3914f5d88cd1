"""A merged model as something that can be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hf_soup.merging.record import RECORD_NAME, IngredientRecord, SoupRecord
from hf_soup.publishing.card_files import card_files, read_config
from hf_soup.publishing.ingredient_cards import IngredientCard
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.private_names import named_repositories, without_names
from hf_soup.publishing.recorded_folder import RecordedFolder


@dataclass(frozen=True)
class MergedFolder(RecordedFolder[SoupRecord]):
    """See `hf_soup.publishing.publishable.Publishable`."""

    message: str = "Upload a model soup made with hf-soup"
    again: str = "merge again"

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder, SoupRecord.read(folder / RECORD_NAME))

    def repositories(self) -> list[str]:
        return named_repositories(self.record)

    def licensors(self) -> list[IngredientRecord]:
        """The ingredients, a base that the method computes with, and the base of adapters."""
        from hf_soup.methods import method_named

        record = self.record
        with_base = record.base is not None and method_named(record.method).needs_base
        models = [*record.ingredients, *([record.base] if record.base is not None and with_base else [])]
        under = {base.fingerprint: base for model in models if (base := model.adapter_of) is not None}
        return [*models, *under.values()]

    def is_fixed(self, path: str) -> bool:
        return path.endswith((".safetensors", ".safetensors.index.json"))

    def problems(self, private: frozenset[str]) -> list[str]:
        return []

    def record_for(self, private: frozenset[str]) -> SoupRecord:
        return without_names(self.record, private)

    def card_files(
        self, cards: Sequence[IngredientCard], licence: Licence | None, repo_id: str, private: frozenset[str]
    ) -> dict[str, bytes]:
        return card_files(self.record, cards, read_config(self.folder), licence, repo_id, private)
