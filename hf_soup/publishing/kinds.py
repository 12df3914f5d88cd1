"""The kinds of results that can be published and verified, by the `format` in their soup.json.

What knows a kind is named here and imported when one of that kind is met, so that rooms which come after this one
can have their results published without being imported by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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

    Both as `module:name`.
    """

    publishable: str
    verification: str


KINDS = {
    "hf-soup": Kind(
        "hf_soup.publishing.merged_folder:MergedFolder.open", "hf_soup.publishing.merge_verification:verify_merge"
    ),
    "hf-soup-adapter": Kind(
        "hf_soup.adapters.adapter_folder:AdapterFolder.open", "hf_soup.adapters.verification:verify_adapter"
    ),
}


def open_publishable(folder: Path) -> Publishable:
    """Opens a folder that hf-soup wrote. Raises InputError for any other folder."""
    if not folder.is_dir():
        raise InputError(f"The folder '{folder}' does not exist.")
    if not (folder / RECORD_NAME).is_file():
        raise InputError(f"The folder '{folder}' has no {RECORD_NAME}; push publishes what hf-soup has made.")
    found: Publishable = _load(_kind_of(folder / RECORD_NAME).publishable)(folder)
    return found


def verification_of(record: Path) -> Callable[..., Verification]:
    """Returns what verifies a result with this soup.json. Raises InputError for a file that is no record of hf-soup."""
    found: Callable[..., Verification] = _load(_kind_of(record).verification)
    return found


def _kind_of(record: Path) -> Kind:
    try:
        content = json.loads(record.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{record.name}: is not a record of hf-soup (it is not JSON: {error}).") from error
    named = content.get("format", "hf-soup") if isinstance(content, dict) else None
    if named not in KINDS:
        raise InputError(
            f"{record.name}: is not a record of hf-soup (format: {named!r}, known are {', '.join(KINDS)}); a newer version may "
            "know it: pip install -U hf-soup."
        )
    return KINDS[named]


def _load(place: str) -> Any:
    module, _, path = place.partition(":")
    found = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found
