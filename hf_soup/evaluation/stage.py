"""Where models stand to be judged, one at a time: the hardware, the model in memory, and the encoded rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.skeleton import Skeleton
from hf_soup.evaluation.task import Encoded


class Stage:
    """Shared by the evaluators of several data sets, so that there is one model in memory and not one for each set."""

    def __init__(self, device: str | None, trust_remote_code: bool) -> None:
        self._device = device
        self.trust_remote_code = trust_remote_code
        self.skeleton: Skeleton | None = None
        self._encoded: dict[str, Encoded] = {}
        self.batch_sizes: dict[str, int] = {}
        """The batch size that fitted, for each set of encoded rows."""

    @cached_property
    def hardware(self) -> Hardware:
        return Hardware(self._device)

    def prepare(self, checkpoint: Checkpoint, auto_class: str | None) -> Skeleton:
        """Returns a skeleton that the checkpoint fits into; a new one replaces the old one."""
        if self.skeleton is None or not self.skeleton.fits(checkpoint, auto_class):
            self.skeleton = None
            self.skeleton = Skeleton(
                checkpoint, auto_class, self.hardware.device, trust_remote_code=self.trust_remote_code
            )
        return self.skeleton

    def encoded(self, key: str, encode: Callable[[], Encoded]) -> Encoded:
        """Rows are encoded once for each tokenizer or processor, and used for all models that share it."""
        if key not in self._encoded:
            self._encoded[key] = encode()
        return self._encoded[key]

    def load(self, checkpoint: Checkpoint, auto_class: str | None) -> Any:
        """Returns the model for a function of the user's, which may do with it what it likes."""
        skeleton = self.prepare(checkpoint, auto_class)
        model = skeleton.load(checkpoint)
        skeleton.lend()
        return model
