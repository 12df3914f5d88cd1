"""What is wrong with the adapters of a soup, found in their own small files before anything large is downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint, PinnedRef, open_folder
from hf_soup.checkpoints.lora_adapter import LoraAdapter, is_adapter
from hf_soup.errors import InputError

MAX_BYTES = 512 * 2**20
"""The largest adapter that is downloaded for a plan. Most have a hundredth of it; those with whole embeddings may have more."""
_FETCH_AT_ONCE = 8


def adapter_problems(adapters: Iterable[LoraAdapter]) -> list[str]:
    """Returns the problems in the weights of all the adapters, which the user may overrule.

    Downloads the adapters that are not on this disk, except those above MAX_BYTES: the probe looks at these when they are here.
    """
    small = [adapter for adapter in adapters if adapter.tensors.bytes_to_download() <= MAX_BYTES]
    missing = {adapter.label: adapter for adapter in small if adapter.tensors.bytes_to_download()}
    with ThreadPoolExecutor(_FETCH_AT_ONCE) as pool:
        list(pool.map(lambda adapter: adapter.tensors.fetch(), missing.values()))
    return list(dict.fromkeys(problem for adapter in small for problem in adapter.problems()))


def adapters_of(models: Iterable[Checkpoint]) -> list[LoraAdapter]:
    return [model.adapter for model in models if isinstance(model, AdapterCheckpoint)]


def adapters_among(
    pinned: Iterable[PinnedRef], *, token: str | bool | None = None, cache_dir: str | Path | None = None
) -> list[LoraAdapter]:
    """Opens the adapters without their bases: for what more there is to say of a soup that cannot be opened.

    References that cannot be opened are left out.
    """
    found = []
    for ref in pinned:
        try:
            folder = open_folder(ref, token=token, cache_dir=cache_dir)
            if is_adapter(folder):
                found.append(LoraAdapter(folder))
        except InputError:  # was said when the whole was opened
            continue
    return found
