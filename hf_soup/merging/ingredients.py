"""The models of a soup, opened: pinned, their headers read, nothing of their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from hf_soup.checkpoints import AdapterBases, AdapterCheckpoint, ModelRef, PinnedRef, open_checkpoint, resolve
from hf_soup.checkpoints.adapter_base import with_common_bases
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.adapter_health import adapter_problems, adapters_among

_OPEN_AT_ONCE = 8  # a handful of small requests each; the Hub limits the rate of anonymous ones


@dataclass(frozen=True)
class Ingredients:
    """`models` in the order in which the user gave them; `base` where one was given."""

    models: tuple[StoredCheckpoint, ...]
    base: StoredCheckpoint | None = None

    @property
    def donor(self) -> StoredCheckpoint:
        """Whose config, tokenizer and processor the result carries: the base, or the first model."""
        return self.base or self.models[0]

    def all(self) -> Iterator[StoredCheckpoint]:
        yield from self.models
        if self.base is not None:
            yield self.base

    def subset(self, indices: Sequence[int]) -> Ingredients:
        return Ingredients(tuple(self.models[i] for i in indices), self.base)


def open_ingredients(
    models: Sequence[str | Path | ModelRef],
    base: str | Path | ModelRef | None = None,
    *,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    stream: bool = False,
) -> Ingredients:
    """Pins and opens every model; a pattern such as `me/run:checkpoint-*` becomes one ingredient per match.

    A LoRA adapter is opened over the base that its reference names; else over `base`; or without one over the base that its
    own config names, which must then be the same for all. Each base is opened once. `stream`: weights of the Hub's models are
    read over the network and do not come to this disk.
    Raises InputError with the problems of all the models together, those in the weights of adapters among them.
    """
    problems: list[str] = []

    def pin(ref: str | Path | ModelRef) -> list[PinnedRef]:
        try:
            return resolve(ref, token=token, revision=revision, cache_dir=cache_dir)
        except InputError as error:
            problems.extend(error.problems)
            return []

    def open_one(pinned: PinnedRef, bases: AdapterBases) -> StoredCheckpoint | None:
        try:
            return open_checkpoint(pinned, token=token, cache_dir=cache_dir, stream=stream, bases=bases)
        except InputError as error:
            problems.extend(error.problems)
            return None

    with ThreadPoolExecutor(_OPEN_AT_ONCE) as pool:
        pinned = [ref for refs in pool.map(pin, models) for ref in refs]
        pinned_base = pin(base) if base is not None else []
        if len(pinned_base) > 1:
            problems.append(f"The base '{base}' names {len(pinned_base)} models; it must be one.")
        given = (
            open_one(pinned_base[0], AdapterBases(token=token, cache_dir=cache_dir, stream=stream))
            if pinned_base
            else None
        )
        if isinstance(given, AdapterCheckpoint) and pinned_base[0].base is None:
            problems.append(
                f"{given.label}: is an adapter and cannot be the base; name {given.base.label}, or a full model."
            )
            given = given.base
        bases = AdapterBases(given, token=token, cache_dir=cache_dir, stream=stream)
        opened = list(pool.map(open_one, pinned, repeat(bases))) if base is None or given is not None else []
    there = [(ref, model) for ref, model in zip(pinned, opened, strict=False) if model is not None]
    under = given.base if isinstance(given, AdapterCheckpoint) else given
    checkpoints = with_common_bases([model for _, model in there], under)
    problems += _different_bases([m for (ref, _), m in zip(there, checkpoints, strict=True) if ref.base is None])
    if problems:
        adapters = adapters_among([*pinned, *pinned_base], token=token, cache_dir=cache_dir)
        raise InputError(list(dict.fromkeys([*problems, *adapter_problems(adapters)])))
    return Ingredients(tuple(checkpoints), given)


def _different_bases(models: Sequence[StoredCheckpoint]) -> list[str]:
    named: dict[StoredCheckpoint, list[str]] = {}
    for model in models:
        if isinstance(model, AdapterCheckpoint):
            named.setdefault(model.base, []).append(model.label)
    if len(named) <= 1:
        return []
    shown = "; ".join(f"{base.label} is the base of {', '.join(labels)}" for base, labels in named.items())
    return [
        f"The adapters were trained on different models: {shown}. If those have the same weights, name one with base=."
    ]
