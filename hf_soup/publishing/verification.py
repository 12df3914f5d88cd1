"""Is what was published what its card says? The record tells how it was made; here it is made again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import ModelRef, open_folder, resolve
from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME
from hf_soup.publishing.kinds import kind_of, record_among, verification_of
from hf_soup.publishing.places import Places
from hf_soup.publishing.verdict import Bar, Verification


def verify(
    target: str | Path,
    *,
    ingredients: Mapping[str, str | Path] | None = None,
    data: Any = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    progress: Bar | None = None,
) -> Verification:
    """Computes a merge's weights, or an adapter's, again from the ingredients and compares them with those in `target`.

    `target`: a repository (`me/soup`, `me/soup@v1`) or a folder. `ingredients`: where to find those that the record
    cannot pin, by their names there: a folder or `REPO@COMMIT`. Memory stays bounded; the models come into the Hub's
    ordinary cache. The arithmetic runs on the CPU, whatever made the merge. An adapter is made again in a temporary folder.
    Of an ensemble the members' digests are compared and text that follows from recorded figures is derived again; with `data`
    (a file or a `HeldOut` that it was fitted or tested on, or several) its weights and figures are computed again, see
    `hf_soup.ensembles.verification`.
    Raises InputError when there is no record, when `data` are none that it names, when ingredients are missing or not
    accessible, or when the record describes nothing that could be carried out; HubError when the Hub fails.
    """
    pinned = resolve(ModelRef.parse(target, revision), token=token, cache_dir=cache_dir)
    if len(pinned) != 1:
        raise InputError(f"'{target}' names {len(pinned)} models; verify one at a time.")
    folder = open_folder(pinned[0], token=token, cache_dir=cache_dir)
    record = record_among(folder.files, folder.ref.label)
    if record is None:
        raise InputError(
            f"{folder.ref.label}: has no {RECORD_NAME}, so it does not say how it was made; it cannot be verified."
        )
    kind = kind_of(folder.local_path(record))
    if data is not None and not kind.takes_data:
        raise InputError(
            f"{folder.ref.label}: data can be given to the verification of an ensemble; this one needs none."
        )
    check = verification_of(kind)
    places = Places(ingredients or {}, token, cache_dir, record)
    return check(folder, places, progress or _silent, **({"data": data} if kind.takes_data else {}))


def _silent(title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda nbytes: None)
