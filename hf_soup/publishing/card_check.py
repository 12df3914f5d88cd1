"""What a published card says, against what its record says. A card written by hand need not say anything."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile

from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.merging.record import RECORD_NAME
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.ingredient_cards import CARD_NAME, parse_card


def card_contradictions(
    folder: ModelFolder,
    tables: Mapping[str, Sequence[str]],
    base_models: Collection[str],
    record: str = RECORD_NAME,
) -> Iterator[str]:
    """Yields a sentence for each thing that the card shows otherwise. `tables`: line by line, by what they show."""
    if CARD_NAME not in folder.files:
        return
    text = folder.local_path(CARD_NAME).read_text(encoding="utf-8", errors="replace")
    metadata, body = split_front_matter(text)
    lines = [line.strip() for line in body.splitlines()]
    for what, (header, _, *rows) in tables.items():
        if header not in lines:
            continue
        shown = takewhile(lambda line: line.startswith("|"), lines[lines.index(header) + 2 :])
        if [without_address(row) for row in shown] != [without_address(row) for row in rows]:
            yield f"The card's table of {what} is not the one that {record} gives."
    named = set(parse_card(metadata, CARD_NAME).base_models)
    if named and named != set(base_models):
        yield f"The card names the base models {', '.join(sorted(named))}; {record} names {', '.join(sorted(base_models))}."


def without_address(row: str) -> str:
    """Returns a line without the targets of its links: a mirror of the Hub has another address, which is no difference."""
    return re.sub(r"\]\([^)]*\)", "]", row)
