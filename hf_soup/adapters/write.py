"""From tensors to a complete adapter repository: its files, its card and its record, under the final name only when done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_soup.adapters.adapter_files import WrittenAdapter
from hf_soup.adapters.card import adapter_card
from hf_soup.adapters.record import AdapterRecord
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.side_files import side_files
from hf_soup.errors import InputError
from hf_soup.merging.output import partial_folder
from hf_soup.merging.produce import file_record
from hf_soup.publishing import derive_licence, licence_warning, load_card
from hf_soup.publishing.card_files import marked
from hf_soup.publishing.ingredient_cards import CARD_NAME


@dataclass(frozen=True)
class MadeAdapter:
    """A finished adapter in a local folder, with what is recorded of it."""

    path: Path
    record: AdapterRecord
    warnings: tuple[str, ...] = ()


def write_adapter(
    out: Path,
    adapter: WrittenAdapter,
    record: AdapterRecord,
    ingredients: Sequence[ModelFolder],
    *,
    overwrite: bool = False,
    license: str | None = None,
) -> MadeAdapter:
    """Writes the adapter to `out` with the card and soup.json. Tokenizer and the like come from the first of `ingredients`.

    Raises InputError for a place that is taken and for a licence that the Hub does not know; SoupError when the disk fails.
    """
    cards = [load_card(folder, one.name) for folder, one in zip(ingredients, record.ingredients, strict=True)]
    warnings: list[str] = []
    chosen = None
    try:
        chosen = derive_licence(cards, license)
        if warning := licence_warning(cards, chosen):
            warnings.append(warning)
    except InputError as error:
        if license is not None:
            raise
        warnings.append(" ".join(error.problems))
    donor = ingredients[0]
    beside = [path for path in side_files(donor) if path != "config.json"]  # with one, it would pass for a full model
    source = donor.fetch(beside)
    identity = record.model_dump(mode="json", exclude={"outputs"})
    with partial_folder(out, identity, overwrite=overwrite, fresh=True) as (folder, _):
        names = adapter.write(folder)
        for path in beside:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, folder / path)
        record.outputs = {path: file_record(folder / path) for path in (*names, *beside)}
        text = adapter_card(record, cards, adapter.config(), chosen)
        (folder / CARD_NAME).write_text(marked(text), encoding="utf-8")
        record.write(folder)
    return MadeAdapter(out, record, tuple(warnings))
