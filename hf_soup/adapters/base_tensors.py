"""Single tensors of the base by their names in memory, for the few that a combination of adapters needs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from hf_soup.adapters.common_base import CommonBase
from hf_soup.adapters.finite import read_finite
from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.lora_config import LoraConfig
from hf_soup.checkpoints.model_names import ModelNames, model_names, stored_in
from hf_soup.checkpoints.pickle_checkpoint import PickleCheckpoint
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import find_weights
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class BaseTensors:
    """The base of adapters; opened when it is first asked something. Of its weights only what `read` returns is read.

    Everything raises InputError where no base is known or it cannot be opened, HubError when the Hub fails.
    """

    def __init__(self, base: CommonBase) -> None:
        self._base = base
        self._names: dict[tuple[str | None, str | None], ModelNames | None] = {}

    @cached_property
    def checkpoint(self) -> StoredCheckpoint:
        """A base on the Hub is read over the network: a head has some KB, its file gigabytes. A pickle is downloaded."""
        folder = self._base.folder
        if folder is None:
            raise InputError(self._base.unknown)
        weights = find_weights(folder)
        if weights.format == "pickle":
            return PickleCheckpoint(folder, weights)
        if isinstance(folder, HubFolder) and folder.missing(weights.paths):
            return RemoteCheckpoint(folder, weights)
        return SafetensorsCheckpoint(folder, weights)

    @property
    def has_header(self) -> bool:
        """Whether its tensors can be listed without a download of all its weights."""
        return not (isinstance(self.checkpoint, PickleCheckpoint) and self.checkpoint.bytes_to_download())

    def info(self, name: str, adapted: LoraConfig) -> TensorInfo | None:
        """Returns what the header says of the tensor that has this name in memory, None where the base has none."""
        found = self._found(name, adapted)
        return None if found is None else self.checkpoint.info(found)

    def in_class(self, name: str, adapted: LoraConfig) -> bool | None:
        """Whether the class that was adapted has such a tensor, which its base may lack; None for a class that is unknown."""
        names = self.names_of(adapted)
        return None if names is None else name in names.stored or name in names.tied

    def names_of(self, adapted: LoraConfig) -> ModelNames | None:
        """Returns the names of the class that was adapted, None where it is not known."""
        key = (adapted.base_class, adapted.task_type)
        if key not in self._names:
            self._names[key] = model_names(self.checkpoint.config, *key)
        return self._names[key]

    def read(self, name: str, adapted: LoraConfig) -> Tensor:
        """Returns the tensor that has this name in memory. Raises also NonFiniteWeights."""
        found = self._found(name, adapted)
        if found is None:
            raise InputError(self.lacks(name))
        if self.checkpoint.info(found).dtype not in FLOATING:
            raise InputError(
                f"{self.checkpoint.label}: tensor '{found}' is {self.checkpoint.info(found).dtype}: the base is quantised; name the same model in "
                "16 or 32 bits with --base MODEL."
            )
        return read_finite(self.checkpoint, found)

    def lacks(self, name: str) -> str:
        """Returns the sentence for a tensor that it is to have a share in and does not have."""
        return (
            f"{self.checkpoint.label}: has no tensor '{name}', which some of the adapters replace and others do not, or with "
            "weights whose sum is not 1; combine adapters that all replace it, with weights that sum to 1."
        )

    def _found(self, name: str, adapted: LoraConfig) -> str | None:
        there = frozenset(self.checkpoint.names())
        if name in there:
            return name
        names = self.names_of(adapted)
        return stored_in(names.stored.get(name, name), names.prefix, there) if names is not None else None
