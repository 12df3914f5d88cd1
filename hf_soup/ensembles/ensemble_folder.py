"""An ensemble in a folder as something that can be published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from hf_soup.ensembles.card_files import ensemble_card_files, with_pictures
from hf_soup.ensembles.private_members import models_and_bases, without_private_names
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.ensembles.soundness import record_problems
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.ingredient_cards import IngredientCard
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.private_names import is_hidden
from hf_soup.publishing.recorded_folder import RecordedFolder


@dataclass(frozen=True)
class EnsembleFolder(RecordedFolder[EnsembleRecord]):
    """See `hf_soup.publishing.publishable.Publishable`."""

    record_name: str = ENSEMBLE_RECORD
    message: str = "Upload an ensemble made with hf-soup"
    again: str = "save the ensemble again"

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder, EnsembleRecord.read(folder / ENSEMBLE_RECORD))

    def repositories(self) -> list[str]:
        return list(dict.fromkeys(one.repo_id for one in models_and_bases(self.record) if one.repo_id))

    def copies(self) -> list[str]:
        """Of bundled members, those too that were souped, put over their base or trained: a bundle is asked for to be loaded anywhere,
        which says nothing about who may have the weights."""
        models = [model for member in self.record.members if member.folder is not None for model in member.models]
        if models:
            models += self.record.sources
        named = [one for model in models for one in (model, model.adapter_of) if one is not None]
        return list(dict.fromkeys(one.repo_id for one in named if one.repo_id))

    def copied(self) -> str:
        if self.record.finetuning is not None:
            return "weights that were trained from those of"
        return "the weights of, or trained from," if self.record.sources else "the weights of"

    def without_copies(self) -> str:
        """Trained members lie nowhere else."""
        if self.record.finetuning is not None:
            return ""
        return "save without --bundle, so that members are pinned by their digests"

    def licensors(self) -> list[IngredientRecord]:
        """The models, fine-tuned ones by what they were before, and behind them the bases of adapters."""
        first = self.record.licensors
        known = {(one.name, one.revision, one.fingerprint) for one in (*self.record.ingredients, *first)}
        others = {(one.name, one.revision, one.fingerprint): one for one in models_and_bases(self.record)}
        return [*first, *(one for key, one in others.items() if key not in known)]

    def is_fixed(self, path: str) -> bool:
        return True  # of a bundle the tokenizers decide about predictions too

    def problems(self, private: frozenset[str]) -> list[str]:
        return [*record_problems(self.record), *self._unreachable()]

    def _unreachable(self) -> Iterator[str]:
        """Fine-tuned members that were left where they were trained. A withheld name tells who knows it what to bring."""
        starts = self.record.finetuning.starts if self.record.finetuning is not None else {}
        for member in self.record.members:
            left = [one for one in member.models if one.repo_id is None and not is_hidden(one)]
            if member.folder is None and member.name in starts and left:
                yield (
                    f"{self.folder.name}: the fine-tuned member '{member.name}' lies only on the machine that trained it; save the ensemble "
                    "with bundle=True (--bundle)."
                )

    def record_for(self, private: frozenset[str]) -> EnsembleRecord:
        return with_pictures(without_private_names(self.record, private))

    def card_files(
        self, cards: Sequence[IngredientCard], licence: Licence | None, repo_id: str, private: frozenset[str]
    ) -> dict[str, bytes]:
        """A private model's card may name data sets that are to stay unnamed."""
        models = self.record.licensors
        shown = [
            replace(card, datasets=()) if one.repo_id in private else card
            for card, one in zip(cards, models, strict=True)
        ]
        secret = {one.name for one in models if one.repo_id in private}
        return ensemble_card_files(self.record_for(private), shown, licence, repo_id, secret)
