"""An adapter that was made here as something that can be published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from hf_soup.adapters.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from hf_soup.adapters.card import adapter_card
from hf_soup.adapters.nameable_base import base_name_problems, is_on_hub
from hf_soup.adapters.record import AdapterRecord
from hf_soup.adapters.update_comparison import TOLERANCE
from hf_soup.errors import InputError
from hf_soup.markdown_table import cell
from hf_soup.merging.record import RECORD_NAME, IngredientRecord
from hf_soup.publishing.card_files import marked
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard
from hf_soup.publishing.licences import Licence
from hf_soup.publishing.private_names import masked
from hf_soup.publishing.recorded_folder import RecordedFolder

_VERIFY = """
## Verify

```bash
pip install hf-soup
{command}
```

This fetches the ingredients at the commits above, makes the adapter again and compares every tensor with what is published here.
{equality}
"""
_TO_THE_BIT = "It is arithmetic on single numbers, so every byte must be equal."
_ROUNDED = (
    "Decompositions end in other bits on other processors: an update B·A that differs by at most {tolerance:g} of its norm counts "
    "as equal."
)
_SUPPLY = (
    "Ingredients that cannot be fetched have to be supplied: `DIR` is a folder with the adapter or the model, or its "
    "`REPO@COMMIT`.\n"
)


@dataclass(frozen=True)
class AdapterFolder(RecordedFolder[AdapterRecord]):
    """See `hf_soup.publishing.publishable.Publishable`."""

    message: str = "Upload a LoRA adapter made with hf-soup"
    again: str = "make the adapter again"

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder, read_record(folder / RECORD_NAME))

    def repositories(self) -> list[str]:
        base = self.record.base.name if is_on_hub(self.record.base) else None
        ids = [*(one.repo_id for one in _with_bases(recorded_models(self.record))), base]
        return list(dict.fromkeys(repo_id for repo_id in ids if repo_id))

    def licensors(self) -> list[IngredientRecord]:
        """The ingredients and the base, whose licence the result inherits although hardly a number of it is in there."""
        models, base = recorded_models(self.record), self.record.base
        if not is_on_hub(self.record.base) or base.revision is None or base.name in {one.repo_id for one in models}:
            return models
        # Of a licensor only the card is read.
        name = str(base.name)
        return [
            *models,
            IngredientRecord(name=name, repo_id=name, revision=base.revision, fingerprint="", files={}),
        ]

    def is_fixed(self, path: str) -> bool:
        return path in (WEIGHTS_NAME, CONFIG_NAME)  # the config decides what the factors are multiplied with

    def problems(self, private: frozenset[str]) -> list[str]:
        """An adapter without the name of its base cannot be loaded, so that a private base cannot be left unnamed."""
        return base_name_problems(self.record.base, private, self.folder.name)

    def record_for(self, private: frozenset[str]) -> AdapterRecord:
        record = self.record
        changes = {
            "ingredients": [masked(one, private) for one in record.ingredients],
            "base_record": masked(record.base_record, private) if record.base_record is not None else None,
        }
        return record.model_copy(update=changes)

    def card_files(
        self, cards: Sequence[IngredientCard], licence: Licence | None, repo_id: str, private: frozenset[str]
    ) -> dict[str, bytes]:
        """A private ingredient's card may name data sets that are to stay unnamed."""
        shown = [
            replace(card, datasets=()) if one.repo_id in private else card
            for card, one in zip(cards, self.record.ingredients, strict=True)
        ]
        record = self.record_for(private)
        config = json.loads((self.folder / CONFIG_NAME).read_bytes())
        text = adapter_card(record, shown, config, licence, repo_id) + _verification(record, repo_id)
        return {CARD_NAME: marked(text).encode()}


def read_record(path: Path) -> AdapterRecord:
    """Raises InputError when the file is not a record of an adapter that this version understands."""
    try:
        return AdapterRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path.name}: is not a record of an adapter of hf-soup ({place}: {first['msg']})."
        ) from error


def recorded_models(record: AdapterRecord) -> list[IngredientRecord]:
    """Returns the ingredients and, behind them, a base that was read, unless it is one of them."""
    known = {one.fingerprint for one in record.ingredients}
    base = record.base_record
    return [*record.ingredients, *([base] if base is not None and base.fingerprint not in known else [])]


def _with_bases(models: Iterable[IngredientRecord]) -> Iterable[IngredientRecord]:
    for one in models:
        yield one
        if one.adapter_of is not None:
            yield one.adapter_of


def _verification(record: AdapterRecord, repo_id: str) -> str:
    unpublished = dict.fromkeys(one.name for one in recorded_models(record) if one.repo_id is None)
    options = [f"--ingredient '{cell(name)}=DIR'" for name in unpublished]
    equality = _TO_THE_BIT if record.form == "concat" else _ROUNDED.format(tolerance=TOLERANCE)
    text = _VERIFY.format(command=" ".join([f"hf-soup verify {repo_id}", *options]), equality=equality)
    return text + _SUPPLY if unpublished else text
