"""The files of a result as they will stand at their destination, made in memory: the local folder stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.merging.checksums import root_of
from hf_soup.merging.record import FileRecord, IngredientRecord
from hf_soup.publishing.card_files import is_generated, with_licence
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard, parse_card
from hf_soup.publishing.leak_scan import content_leaks, is_binary
from hf_soup.publishing.licences import derive_licence, licence_warning
from hf_soup.publishing.publishable import Publishable

_LEFT_OUT = {"__pycache__"}


@dataclass(frozen=True)
class Publication:
    """`contents`: bytes for what was rendered anew, a path for what is uploaded as it lies there."""

    contents: dict[str, bytes | Path]
    warnings: tuple[str, ...]


def prepare_publication(
    made: Publishable,
    cards: Sequence[IngredientCard],
    repo_id: str,
    *,
    licence: str | None = None,
    private: frozenset[str] = frozenset(),
    token: str | bool | None = None,
    uploaded: Collection[str] = (),
) -> Publication:
    """Returns what will be uploaded. `private`: Hub IDs that must not be named. `uploaded`: weight files that are not.

    `cards`: of `made.licensors()`, in their order. A card that somebody edited is kept, a generated one is rendered for
    the destination. Raises InputError with every problem: licences, files that are not as they were made, and whatever
    must not leave this machine.
    """
    if problems := made.problems(private):
        raise InputError(problems)
    folder = made.folder
    existing = _text(folder / CARD_NAME)
    edited = existing is not None and not is_generated(existing)
    before = parse_card(split_front_matter(existing)[0] if existing else {}, CARD_NAME)
    chosen = derive_licence(cards, licence or before.licence)
    warning = licence_warning(cards, chosen)
    contents: dict[str, bytes | Path] = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    contents = {path: content for path, content in contents.items() if path not in uploaded}
    made, problems = _as_it_is_now(made, contents, uploaded)
    contents[made.record_name] = (made.record_for(private).model_dump_json(indent=2) + "\n").encode()
    if edited and existing is not None:
        text = with_licence(existing, chosen) if licence is not None and chosen is not None else existing
        contents[CARD_NAME] = text.encode()
    known = _with_local_facts(made.ingredients, cards, before, bool(private))
    rendered = made.card_files(known, chosen, repo_id, private)
    # Pictures beside an edited card are drawn anew too: those that lie there may show names that must not be published.
    contents |= {path: content for path, content in rendered.items() if not (edited and path == CARD_NAME)}
    texts = {path: _bytes(content) for path, content in contents.items() if not is_binary(path)}
    problems += content_leaks(texts, folder, token=token, private=private)
    if problems:
        raise InputError(problems)
    return Publication(contents, (warning,) if warning else ())


def _as_it_is_now(
    made: Publishable, contents: dict[str, bytes | Path], uploaded: Collection[str]
) -> tuple[Publishable, list[str]]:
    """Weights must be what was made; side files may have been edited, and the record then says so."""
    folder, outputs, problems = made.folder, {}, []
    for path, recorded in made.outputs.items():
        if path in uploaded:
            outputs[path] = recorded
            continue
        fixed = made.is_fixed(path)
        if path not in contents:
            if fixed:
                problems.append(f"{path} of {folder.name}: is missing; {made.again}.")
            continue
        found = _file_record(folder / path)
        if fixed and not _is_what_was_written(folder / path, found, recorded):
            problems.append(
                f"{path} of {folder.name}: was changed after it was made, {made.record_name} says otherwise; {made.again}."
            )
        outputs[path] = found.model_copy(update={"root": recorded.root if fixed else None})
    return made.with_outputs(outputs), problems


def _is_what_was_written(path: Path, found: FileRecord, recorded: FileRecord) -> bool:
    if recorded.root is not None and path.suffix == ".safetensors":
        return found.size == recorded.size and root_of(path) == recorded.root
    return (found.size, found.sha256) == (recorded.size, recorded.sha256)


def _with_local_facts(
    ingredients: Sequence[IngredientRecord], cards: Sequence[IngredientCard], before: IngredientCard, hiding: bool
) -> list[IngredientCard]:
    """A local ingredient's card is not at hand any more; what it said is in the card that was written with the result."""
    # That card was for this disk, so its data sets may be those of a model that is to stay private.
    remembered = replace(before, base_models=(), library_name=None, datasets=() if hiding else before.datasets)
    # The licence is that of what the ingredient was trained from, if that is known.
    return [
        replace(remembered, name=card.name, licence=card.licence) if ingredient.repo_id is None else card
        for card, ingredient in zip(cards, ingredients, strict=False)  # behind them stand bases
    ]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") or part in _LEFT_OUT for part in parts):
            yield path


def _file_record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
