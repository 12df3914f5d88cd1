"""One model of transformers in memory, into which checkpoint after checkpoint is copied."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.checkpoint import Origin
from hf_soup.errors import InputError
from hf_soup.evaluation.architecture import model_class
from hf_soup.evaluation.name_map import NameMap, load_state_dict, trace_names

if TYPE_CHECKING:
    import torch

# What config.json says of the files' history, not of the model.
_HISTORY = {"_name_or_path", "transformers_version", "_commit_hash"}


class Skeleton:
    """A model of the class that `from_pretrained` would take, made for checkpoints of one config and one set of tensors.

    After `load(checkpoint)` its logits equal, bit for bit, those of the model that `from_pretrained` loads from a folder with
    that checkpoint: the same class, config and dtypes, the same values in every tensor, buffers outside the files as made.
    """

    def __init__(
        self, checkpoint: Checkpoint, auto_class: str | None, device: torch.device, *, trust_remote_code: bool = False
    ) -> None:
        self.auto_class = auto_class
        self.device = device
        self.layout = layout(checkpoint)
        self.loaded: str | None = None
        """The identity of the checkpoint that is in memory."""
        self._held: dict[str, Origin] = {}
        """Where the content of each tensor in memory comes from, as far as that is certain."""
        self._kind, self.config = model_class(checkpoint, auto_class, trust_remote_code)
        self.name_map: NameMap
        model, self.name_map = trace_names(self._kind, self.config, checkpoint)
        self._dtypes = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        self.model = model.to(device).eval()

    @property
    def one_to_one(self) -> bool:
        """Whether checkpoints are copied in place. Where tensors are stacked or fused on loading (mixtures of experts),
        transformers loads each one anew, which takes longer and gives the same model."""
        return self.name_map.one_to_one

    def fits(self, checkpoint: Checkpoint, auto_class: str | None) -> bool:
        return auto_class == self.auto_class and layout(checkpoint) == self.layout

    def load(self, checkpoint: Checkpoint) -> Any:
        """Returns the model with the weights of this checkpoint; the one before is gone."""
        if layout(checkpoint) != self.layout:
            raise InputError(f"{checkpoint.label}: its config or its tensors differ from the model in memory.")
        identity, altered = checkpoint.identity, self._was_altered()
        if self.loaded != identity or altered:
            self.loaded = None
            if self.one_to_one and not altered:
                self._copy(checkpoint)
            else:
                self._reload(checkpoint)
            self.loaded = identity
        return self.model.eval()

    def lend(self) -> None:
        """Says that somebody else's code has the model, who may change its weights: all of the next checkpoint is copied."""
        self._held = {}

    def _copy(self, checkpoint: Checkpoint) -> None:
        """Copies the tensors that are not there already, as the untouched ones of the base are of another adapter."""
        import torch

        origins, held = checkpoint.origins(), self._held
        self._held = {}  # a load that fails half-way leaves nothing that is certain
        now: dict[str, Origin] = {}
        filled = set()
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.data_ptr() in filled or name not in self.name_map.sources:
                    continue
                filled.add(tensor.data_ptr())
                source = self.name_map.sources[name]
                now[name] = origins[source]
                if held.get(name) == now[name]:
                    continue
                stored = checkpoint.empty(source, 0).dtype
                if tensor.device.type == "cpu" and tensor.dtype == stored:
                    checkpoint.read_span(source, 0, tensor.numel(), out=tensor.view(-1))
                else:
                    tensor.copy_(checkpoint.read(source))
        if self._kind.__module__.startswith("transformers."):  # a model's own code may change weights whenever it runs
            self._held = now

    def _reload(self, checkpoint: Checkpoint) -> None:
        self._held = {}
        self.model = None  # two models at once may be too many
        tensors = {name: checkpoint.read(name).clone() for name in checkpoint.names()}
        model, _ = load_state_dict(self._kind, self.config, tensors, checkpoint.label)
        self.model = model.to(self.device)

    def _was_altered(self) -> bool:
        """A user's function may have cast the model that it was given, or a reload may have failed."""
        if self.model is None:
            return True
        return {name: tensor.dtype for name, tensor in self.model.state_dict().items()} != self._dtypes


def layout(checkpoint: Checkpoint) -> str:
    """A digest of everything but the weights: config, and the name, dtype and shape of every tensor."""
    config = {name: value for name, value in checkpoint.config.items() if name not in _HISTORY}
    infos = [checkpoint.info(name) for name in checkpoint.names()]
    essence = [config, [(info.name, info.dtype, info.shape) for info in infos]]
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()
