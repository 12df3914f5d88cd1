"""Is what was published what its card says? The record tells how it was made; here it is made again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hf_soup.checkpoints import ModelRef, open_folder, resolve
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME
from hf_soup.publishing.kinds import verification_of
from hf_soup.publishing.places import Places
from hf_soup.publishing.verdict import Bar, Verification


def verify(
    target: str | Path,
    *,
    ingredients: Mapping[str, str | Path] | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    progress: Bar | None = None,
) -> Verification:
    """Computes a merge's weights, or an adapter's, again from the ingredients and compares them with those in `target`.

    `target`: a repository (`me/soup`, `me/soup@v1`) or a folder. `ingredients`: where to find those that the record
    cannot pin, by their names there: a folder or `REPO@COMMIT`. Memory stays bounded; the models come into the Hub's
    ordinary cache. The arithmetic runs on the CPU, whatever made the merge. An adapter is made again in a temporary folder.
    Raises InputError when there is no soup.json, when ingredients are missing or not accessible, or when the record
    describes nothing that could be carried out; HubError when the Hub fails.
    """
    pinned = resolve(ModelRef.parse(target, revision), token=token, cache_dir=cache_dir)
    if len(pinned) != 1:
        raise InputError(f"'{target}' names {len(pinned)} models; verify one at a time.")
    folder = open_folder(pinned[0], token=token, cache_dir=cache_dir)
    if RECORD_NAME not in folder.files:
        raise InputError(
            f"{folder.ref.label}: has no {RECORD_NAME}, so it does not say how it was made; it cannot be verified."
        )
    check = verification_of(folder.local_path(RECORD_NAME))
    return check(folder, Places(ingredients or {}, token, cache_dir), progress or _silent)


def _silent(title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda nbytes: None)
