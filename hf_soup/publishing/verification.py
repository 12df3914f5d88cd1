"""Deriving a published merge again: the record says how, the ingredients come from their pinned commits, and every
tensor is compared with what was published. Digests in soup.json are compared too, but prove nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hf_soup.checkpoints import ModelRef, open_checkpoint, open_folder, resolve
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME, SoupRecord
from hf_soup.publishing.card_tables import ingredient_table
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.ingredient_cards import CARD_NAME, parse_card
from hf_soup.publishing.recorded_ingredients import digest_contradictions, open_recorded
from hf_soup.publishing.side_comparison import compare_digests, compare_layout, compare_side_files
from hf_soup.publishing.tensor_comparison import compare_tensors
from hf_soup.publishing.verdict import Verification

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar of that title and number of bytes, and yields the function that advances it."""


def verify(
    target: str | Path,
    *,
    ingredients: Mapping[str, str | Path] | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    progress: Bar | None = None,
) -> Verification:
    """Computes a merge's weights again from its ingredients and compares them with what stands in `target`.

    `target`: a repository (`me/soup`, `me/soup@v1`) or a folder. `ingredients`: where to find those that the record
    cannot pin, by their names there: a folder or `REPO@COMMIT`. Memory stays bounded; the models come into the Hub's
    ordinary cache. The arithmetic runs on the CPU, whatever made the merge.
    Raises InputError when there is no soup.json, when ingredients are missing or not accessible, or when the record
    describes no merge that could be carried out; HubError when the Hub fails.
    """
    from hf_soup.merging.derive import derive
    from hf_soup.methods import method_named

    published, record = _open(target, token, cache_dir, revision)
    models = open_recorded(record, ingredients or {}, token=token, cache_dir=cache_dir)
    whole = not method_named(record.method).elementwise
    derived = derive(record, models.models, models.base)
    donor = models.base if record.donor is None else models.models[record.donor]
    assert donor is not None
    for model in (published, *models.all()):
        model.fetch()
    total = sum(derived.info(name).nbytes for name in derived.names())
    with (progress or _silent)("Comparing", total) as advance:
        tensors = compare_tensors(published, derived, whole_tensors=whole, progress=advance)
    files = [
        *compare_layout(published, derived, record),
        *compare_side_files(published.folder, donor, derived),
        *compare_digests(published.folder, record),
    ]
    return Verification(
        target=published.label,
        ingredients=tuple(model.label for model in models.all()),
        device=record.device,
        tensors=tuple(tensors),
        files=tuple(files),
        contradictions=(*digest_contradictions(record, models), *_card_contradictions(published.folder, record)),
    )


def _open(
    target: str | Path, token: str | bool | None, cache_dir: str | Path | None, revision: str | None
) -> tuple[StoredCheckpoint, SoupRecord]:
    pinned = resolve(ModelRef.parse(target, revision), token=token, cache_dir=cache_dir)
    if len(pinned) != 1:
        raise InputError(f"'{target}' names {len(pinned)} models; verify one at a time.")
    folder = open_folder(pinned[0], token=token, cache_dir=cache_dir)
    if RECORD_NAME not in folder.files:
        raise InputError(
            f"{folder.ref.label}: has no {RECORD_NAME}, so it does not say how it was made; it cannot be verified."
        )
    record = SoupRecord.read(folder.local_path(RECORD_NAME))
    return open_checkpoint(pinned[0], token=token, cache_dir=cache_dir), record


def _card_contradictions(folder: ModelFolder, record: SoupRecord) -> Iterator[str]:
    """What the card shows and soup.json says otherwise. A card written by hand need not have the table."""
    if CARD_NAME not in folder.files:
        return
    text = folder.local_path(CARD_NAME).read_text(encoding="utf-8", errors="replace")
    metadata, body = split_front_matter(text)
    header, _, *rows = ingredient_table(record)
    lines = [line.strip() for line in body.splitlines()]
    if header in lines:
        start = lines.index(header) + 2
        shown = []
        while start < len(lines) and lines[start].startswith("|"):
            shown.append(lines[start])
            start += 1
        if [_without_address(row) for row in shown] != [_without_address(row) for row in rows]:
            yield "The card's table of ingredients, commits and weights is not the one that soup.json gives."
    named = set(parse_card(metadata, CARD_NAME).base_models)
    recorded = {one.repo_id for one in record.ingredients if one.repo_id}
    if named and named != recorded:
        yield f"The card names the base models {', '.join(sorted(named))}; soup.json names {', '.join(sorted(map(str, recorded)))}."


def _without_address(row: str) -> str:
    """A mirror of the Hub has another address; the links to it are no difference."""
    return re.sub(r"\]\([^)]*\)", "]", row)


def _silent(title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda nbytes: None)
