"""A checkpoint in PyTorch's pickle format, read with `weights_only=True`: tensors and plain containers, no code."""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.dtypes import code_of
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class PickleCheckpoint(StoredCheckpoint):
    """Has no header: its names are known once the file is on this disk. Tensors stay mapped, not loaded."""

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        import torch

        tensors: dict[str, Tensor] = {}
        root = self.fetch()
        for path in self.weights.paths:
            for name, tensor in _load(root / path, f"{path} of {self.label}").items():
                if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
                    raise InputError(
                        f"{path} of {self.label}: is not a flat mapping of names to tensors ('{name}' is a "
                        f"{type(tensor).__name__}); save the model with save_pretrained first."
                    )
                tensors[name] = tensor.detach()
        missing = sorted(set(self.weights.weight_map or {}) - set(tensors))
        if missing:
            raise InputError(f"{self.label}: the index names tensors that no shard holds: {', '.join(missing[:5])}.")
        return tensors

    def names(self) -> list[str]:
        return sorted(self._tensors)

    def info(self, name: str) -> TensorInfo:
        tensor = self._tensors[name]
        return TensorInfo(name, code_of(tensor.dtype), tuple(tensor.shape))

    def read_span(self, name: str, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        span = self._tensors[name].reshape(-1)[start:stop]
        if out is None:
            return span.clone()
        return out[: stop - start].copy_(span)

    def close(self) -> None:
        self.__dict__.pop("_tensors", None)


def _load(path: Path, where: str) -> dict[str, Tensor]:
    import torch

    try:
        try:
            loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except RuntimeError as error:  # a file from before torch 1.6 cannot be mapped
            if "mmap" not in str(error):
                raise
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{where}: is a pickle that wants to run code or build objects other than tensors; it was not opened. "
            "Ask for the model as safetensors."
        ) from error
    except Exception as error:  # a damaged file makes torch.load fail in a dozen ways, some of them without a word
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(f"{where}: is not a readable PyTorch file ({reason}); download it again.") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{where}: holds a {type(loaded).__name__}, not a mapping of names to tensors.")
    return loaded
