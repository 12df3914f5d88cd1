"""The kinds of results that can be published and verified, by the `format` in their record.

What knows a kind is named here and imported when one of that kind is met, so that rooms which come after this one
can have their results published without being imported by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError
from hf_soup.merging.record import RECORD_NAME

if TYPE_CHECKING:
    from hf_soup.publishing.publishable import Publishable
    from hf_soup.publishing.verdict import Verification


@dataclass(frozen=True)
class Kind:
    """`publishable`: opens a folder as `Publishable`; `verification`: see `hf_soup.publishing.merge_verification`.

    Both as `module:name`. `record`: the name of the record's file. `takes_data`: whether figures can be computed again, so
    that `verification` understands `data=`.
    """

    publishable: str
    verification: str
    record: str = RECORD_NAME
    takes_data: bool = False


KINDS = {
    "hf-soup": Kind(
        "hf_soup.publishing.merged_folder:MergedFolder.open", "hf_soup.publishing.merge_verification:verify_merge"
    ),
    "hf-soup-adapter": Kind(
        "hf_soup.adapters.adapter_folder:AdapterFolder.open", "hf_soup.adapters.verification:verify_adapter"
    ),
    "hf-soup-ensemble": Kind(
        "hf_soup.ensembles.ensemble_folder:EnsembleFolder.open",
        "hf_soup.ensembles.verification:verify_ensemble",
        record="hf_soup_ensemble.json",
        takes_data=True,
    ),
}
RECORD_NAMES = tuple(dict.fromkeys(kind.record for kind in KINDS.values()))


def open_publishable(folder: Path) -> Publishable:
    """Opens a folder that hf-soup wrote. Raises InputError for any other folder."""
    if not folder.is_dir():
        raise InputError(f"The folder '{folder}' does not exist.")
    name = record_among([name for name in RECORD_NAMES if (folder / name).is_file()], f"The folder '{folder}'")
    if name is None:
        raise InputError(f"The folder '{folder}' has no {RECORD_NAME}; push publishes what hf-soup has made.")
    found: Publishable = _load(kind_of(folder / name).publishable)(folder)
    return found


def record_among(files: Collection[str], where: str) -> str | None:
    """Returns which of the files is the record, None where there is none. Raises InputError for several: one is stale."""
    found = [name for name in RECORD_NAMES if name in files]
    if len(found) > 1:
        raise InputError(
            f"{where} has {' and '.join(found)}, records of two results; remove the one that is not of this one."
        )
    return found[0] if found else None


def verification_of(kind: Kind) -> Callable[..., Verification]:
    """Returns what verifies a result of this kind."""
    found: Callable[..., Verification] = _load(kind.verification)
    return found


def kind_of(record: Path) -> Kind:
    """Returns the kind of result that this record is of. Raises InputError for a file that is no record of hf-soup."""
    try:
        content = json.loads(record.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{record.name}: is not a record of hf-soup (it is not JSON: {error}).") from error
    named = content.get("format", "hf-soup") if isinstance(content, dict) else None
    if named not in KINDS or KINDS[named].record != record.name:
        known = [name for name, kind in KINDS.items() if kind.record == record.name]
        raise InputError(
            f"{record.name}: is not a record of hf-soup (format: {named!r}, known are {', '.join(known)}); a newer version may "
            "know it: pip install -U hf-soup."
        )
    return KINDS[named]


def _load(place: str) -> Any:
    module, _, path = place.partition(":")
    found = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found
