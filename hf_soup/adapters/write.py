"""From tensors to a complete adapter repository: its files, its card and its record, under the final name only when done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hf_soup.adapters.adapter_files import WrittenAdapter
from hf_soup.adapters.card import adapter_card
from hf_soup.adapters.record import AdapterRecord
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.side_files import side_files
from hf_soup.errors import InputError
from hf_soup.merging.output import JOURNALS, partial_folder, partial_path
from hf_soup.merging.produce import file_record
from hf_soup.publishing import IngredientCard, Licence
from hf_soup.publishing.card_files import marked
from hf_soup.publishing.ingredient_cards import CARD_NAME
from hf_soup.publishing.pushable import Pushable


@dataclass(frozen=True)
class MadeAdapter(Pushable):
    """A finished adapter in a local folder, with what is recorded of it."""

    path: Path
    record: AdapterRecord
    warnings: tuple[str, ...] = ()
    token: str | bool | None = field(default=None, repr=False)


def write_adapter(
    out: Path,
    adapter: WrittenAdapter,
    record: AdapterRecord,
    ingredients: Sequence[ModelFolder],
    cards: Sequence[IngredientCard],
    licence: Licence | None,
    *,
    overwrite: bool = False,
) -> None:
    """Writes the adapter to `out` with the card and soup.json. Tokenizer and the like come from the first of `ingredients`.

    `cards`: of the ingredients. Completes the record. Raises InputError for a place that is taken, or where an unfinished merge
    lies, SoupError when the disk fails.
    """
    if problems := unfinished_merge(out):
        raise InputError(problems)
    donor = ingredients[0]
    beside = [path for path in side_files(donor) if path != "config.json"]  # with one, it would pass for a full model
    identity = record.model_dump(mode="json", exclude={"outputs"})
    source = donor.fetch(beside) if beside else Path()
    with partial_folder(out, identity, overwrite=overwrite, fresh=True) as (folder, _):
        names = adapter.write(folder)
        for path in beside:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, folder / path)
        record.outputs = {path: file_record(folder / path) for path in (*names, *beside)}
        text = adapter_card(record, cards, adapter.config(), licence)
        (folder / CARD_NAME).write_text(marked(text), encoding="utf-8")
        record.write(folder)


def unfinished_merge(out: Path) -> list[str]:
    """Returns why an adapter must not be written there: a merge was interrupted, and what it has done would be lost."""
    partial = partial_path(out.expanduser().resolve())
    if not any(journal.stat().st_size for journal in partial.glob(f"{JOURNALS}*")):
        return []
    return [
        f"'{partial}' holds an unfinished merge, which the command that began it goes on with; remove it if it is not needed, or name "
        "another output folder."
    ]
