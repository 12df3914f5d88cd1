"""The one base that several adapters are for: named, pinned, and where it can be reached, opened as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_soup.adapters.record import BaseName
from hf_soup.checkpoints import ModelRef, PinnedRef, open_folder, resolve
from hf_soup.checkpoints.adapter_base import base_reference
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.lora_adapter import LoraAdapter, is_adapter
from hf_soup.checkpoints.same_weights import same_weights
from hf_soup.errors import InputError, SoupError

LOCAL_BASE = "adapter_config.json names the base by a folder of this machine ({}); name a Hub ID with --base MODEL before you publish it."
"""A warning, to be formatted with the folder."""
_NONE_NAMED = "The adapters do not say which model they are for; name it with --base MODEL."


@dataclass(frozen=True)
class CommonBase:
    """`name`: what adapter_config.json says, of a base on the Hub with the commit.

    `folder`: its files; None where it cannot be reached, and then `unknown` says why, in one sentence. `warnings`: of several
    names for the same weights, and of adapters that name other weights than those of a given base. `is_theirs`: whether any
    adapter names this base, or one of the same weights; None where that cannot be told.
    """

    name: BaseName
    folder: ModelFolder | None = None
    unknown: str = ""
    warnings: tuple[str, ...] = ()
    is_theirs: bool | None = True


def common_base(
    adapters: Sequence[LoraAdapter],
    given: str | Path | ModelRef | None = None,
    *,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> CommonBase:
    """Returns the given base, or the one that all adapters name; no weight is read or downloaded.

    Bases of different names are one where their weights are the same (see `same_weights`); one on the Hub is preferred. A
    revision that some adapters state and others leave open is taken, and so is a name. A base that cannot be reached is no
    error here: it is named as the user or the adapters name it. A given base that is none of theirs is a warning.

    Raises InputError for bases that differ, or of which it cannot be told, and for one that is itself an adapter or lies in a
    subfolder of a repository, which adapter_config.json cannot name.
    """
    if given is not None:
        return _compared(_opened(ModelRef.parse(given, revision), token, cache_dir), adapters, token, cache_dir)
    stated = _stated(adapters)
    if not stated:
        return CommonBase(BaseName(name=None), unknown=_NONE_NAMED)
    bases = [_base_of(adapter, token, cache_dir) for adapter in stated]
    first, *others = sorted(bases, key=lambda base: is_local(base.name))
    if not others:
        return first
    if not all(_are_the_same(first, other) for other in others):
        raise InputError(_different(adapters, bases))
    names = dict.fromkeys(_shown(base.name) for base in bases)
    if len(names) == 1:
        return first
    warning = (
        f"The adapters name {' and '.join(names)}, whose weights are the same; the result names {_shown(first.name)}."
    )
    return CommonBase(first.name, first.folder, first.unknown, (warning,))


def is_local(base: BaseName) -> bool:
    """Whether only this machine knows the base by that name. One with a revision is on the Hub, whatever folders are here."""
    if base.name is None:
        return False
    return Path(base.name).is_absolute() or (base.revision is None and Path(base.name).is_dir())


def base_name(folder: ModelFolder) -> BaseName:
    """Returns what adapter_config.json says of a base. Raises InputError for one that it cannot name."""
    ref = folder.ref
    if ref.path is not None:
        return BaseName(name=str(ref.path))
    if ref.subfolder is not None:
        raise InputError(
            f"{ref.label}: adapter_config.json cannot name a subfolder of a repository as the base; give the base a repository "
            "of its own, or name a local copy."
        )
    return BaseName(name=ref.repo_id, revision=ref.revision)


def _stated(adapters: Sequence[LoraAdapter]) -> list[LoraAdapter]:
    """One adapter for every base that is stated; none for a name without revision where the same name has one too."""
    found: dict[tuple[str, str | None], LoraAdapter] = {}
    for adapter in adapters:
        stated = _statement(adapter)
        if stated.name is not None:
            found.setdefault((stated.name, stated.revision), adapter)
    with_revision = {name for name, revision in found if revision is not None}
    return [each for (name, revision), each in found.items() if revision is not None or name not in with_revision]


def _statement(adapter: LoraAdapter) -> BaseName:
    """What the reference to the adapter names as its base, else what its adapter_config.json names."""
    if (ref := adapter.folder.ref.base) is not None:
        return BaseName(name=ref.repo_id or str(ref.path), revision=ref.revision)
    name, revision = adapter.base_ref
    return BaseName(name=name, revision=revision)


def _base_of(adapter: LoraAdapter, token: str | bool | None, cache_dir: str | Path | None) -> CommonBase:
    if (named := adapter.folder.ref.base) is not None:
        return _opened(named, token, cache_dir)
    try:
        ref = base_reference(adapter)
    except InputError as error:
        return CommonBase(_statement(adapter), unknown=" ".join(error.problems))
    return _opened(ref, token, cache_dir)


def _opened(ref: ModelRef | PinnedRef, token: str | bool | None, cache_dir: str | Path | None) -> CommonBase:
    try:
        pinned = ref if isinstance(ref, PinnedRef) else resolve(ref, token=token, cache_dir=cache_dir)[0]
        folder = open_folder(pinned, token=token, cache_dir=cache_dir)
        full = not is_adapter(folder)  # asks for the list of files
    except SoupError as error:
        if ref.repo_id is None:
            raise
        name = BaseName(name=ref.repo_id, revision=ref.revision)
        return CommonBase(name, unknown=f"The base cannot be reached: {error}")
    if not full:
        raise InputError(f"{folder.ref.label}: is an adapter itself and cannot be the base; name a full model.")
    return CommonBase(base_name(folder), folder)


def _compared(
    base: CommonBase, adapters: Sequence[LoraAdapter], token: str | bool | None, cache_dir: str | Path | None
) -> CommonBase:
    """A given base, with what the adapters say to it."""
    told, found = [], list[bool | None]()
    for adapter in _stated(adapters):
        stated = _statement(adapter)
        if stated.name == base.name.name and stated.revision in (None, base.name.revision):
            found.append(True)
            continue
        try:
            other = _base_of(adapter, token, cache_dir)
            alike = None if other.folder is None or base.folder is None else same_weights(other.folder, base.folder)
        except SoupError:  # a folder that is not here, or a Hub that fails: it cannot be told
            alike = None
        found.append(alike)
        if alike is False:
            told.append(
                f"{adapter.label}: names {_shown(other.name)} as its base, whose weights are not those of {_shown(base.name)}; what it "
                "learned on the former is added to the latter."
            )
    is_theirs = True if True in found else False if False in found else None
    return CommonBase(base.name, base.folder, base.unknown, tuple(told), is_theirs)


def _are_the_same(one: CommonBase, other: CommonBase) -> bool:
    if one.name == other.name:
        return True
    if one.folder is None or other.folder is None:
        return False
    try:
        return same_weights(one.folder, other.folder)
    except SoupError:  # no weights, or a Hub that fails: it cannot be told, and the user is asked
        return False


def _different(adapters: Sequence[LoraAdapter], bases: Sequence[CommonBase]) -> list[str]:
    return [
        "The adapters name different base models; if these are the same weights, say which to name with --base MODEL.",
        *(f"{adapter.label}: {_shown(_statement(adapter))}." for adapter in adapters),
        *dict.fromkeys(base.unknown for base in bases if base.unknown),
    ]


def _shown(base: BaseName) -> str:
    if base.name is None:
        return "names none"
    return f"{base.name} at {base.revision}" if base.revision else base.name
