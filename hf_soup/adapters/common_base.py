"""The one base that several adapters are for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_soup.adapters.record import BaseName
from hf_soup.checkpoints import ModelRef
from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.errors import InputError

LOCAL_BASE = "adapter_config.json names the base by a folder of this machine ({}); name a Hub ID with --base MODEL before you publish it."
"""A warning, to be formatted with the folder."""


def common_base(adapters: Sequence[LoraAdapter], given: str | Path | None = None) -> BaseName:
    """Returns the base that all adapters name, or the given one. Raises InputError where they name different ones.

    A revision that some of them state and others leave open is taken. The name is None where no adapter states any.
    """
    if given is not None:
        return named_base(given)
    listed = [f"{adapter.label}: {adapter.base_ref[0] or 'names none'}{_at(adapter)}." for adapter in adapters]
    names = {adapter.base_ref[0] for adapter in adapters} - {None}
    revisions = {adapter.base_ref[1] for adapter in adapters} - {None}
    if len(names) > 1 or len(revisions) > 1:
        raise InputError(
            [
                "The adapters name different base models; if these are the same weights, say which to name with --base MODEL.",
                *listed,
            ]
        )
    return BaseName(name=next(iter(names), None), revision=next(iter(revisions), None))


def named_base(given: str | Path) -> BaseName:
    """Returns what adapter_config.json says of a base that a user names."""
    ref = ModelRef.parse(given)
    if ref.path is not None:
        return BaseName(name=str(ref.path.resolve()))
    return BaseName(name=ref.repo_id, revision=ref.revision)


def base_reference(base: BaseName) -> str | Path:
    """The inverse: how to open it. Raises InputError where no base is known."""
    if base.name is None:
        raise InputError("The adapters do not say which model they are for; name it with --base MODEL.")
    if Path(base.name).is_dir():
        return Path(base.name)
    return f"{base.name}@{base.revision}" if base.revision else base.name


def is_local(base: BaseName) -> bool:
    """Whether only this machine knows the base by that name."""
    return base.name is not None and (Path(base.name).is_absolute() or Path(base.name).is_dir())


def _at(adapter: LoraAdapter) -> str:
    return f" at {adapter.base_ref[1]}" if adapter.base_ref[1] else ""
