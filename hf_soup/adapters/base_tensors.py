"""Single tensors of the base by their names in memory, for the few that a combination of adapters needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.adapters.common_base import base_reference
from hf_soup.adapters.record import BaseName
from hf_soup.checkpoints import open_checkpoint
from hf_soup.checkpoints.lora_config import LoraConfig
from hf_soup.checkpoints.model_names import ModelNames, model_names
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class BaseTensors:
    """The base of an adapter; opened when its first tensor is asked for, of which then only that tensor is read."""

    def __init__(
        self,
        base: BaseName,
        adapted: LoraConfig,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        self._base = base
        self._adapted = adapted
        self._token = token
        self._cache_dir = cache_dir

    def read(self, name: str) -> Tensor:
        """Returns the tensor that has this name in memory. Raises InputError when the base has none or cannot be opened."""
        checkpoint, names = self._opened()
        stored = names.stored.get(name, name) if names else name
        prefix = f"{names.prefix}." if names and names.prefix else ""
        there = set(checkpoint.names())
        candidates = (name, stored, stored.removeprefix(prefix), f"{prefix}{stored}")
        found = next((candidate for candidate in candidates if candidate in there), None)
        if found is None:
            raise InputError(
                f"{checkpoint.label}: has no tensor '{name}', which some of the adapters replace and others do not, or with "
                "weights whose sum is not 1; combine adapters that all replace it, with weights that sum to 1."
            )
        return checkpoint.read(found)

    @cache  # noqa: B019 - as long-lived as the one combination that it serves
    def _opened(self) -> tuple[StoredCheckpoint, ModelNames | None]:
        # Streamed: of a base on the Hub a head of some KB is needed, not its gigabytes.
        checkpoint = open_checkpoint(
            base_reference(self._base), token=self._token, cache_dir=self._cache_dir, stream=True
        )
        return checkpoint, model_names(checkpoint.config, self._adapted.base_class, self._adapted.task_type)
