"""Where models run: the device, mixed precision and processes that Accelerate finds, or the device the user names."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from hf_soup.errors import InputError
from hf_soup.ranks import attempt

if TYPE_CHECKING:
    import numpy as np
    import torch

_MOST_WORKERS = 4  # each holds a batch's activations

Outputs = dict[str, "np.ndarray"]
T = TypeVar("T")


class Hardware:
    def __init__(self, device: str | None = None) -> None:
        import torch
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        # Without an accelerator several processes find each other only if it is said that they run on CPUs.
        # Others wait while one process works alone, at a push for instance; half an hour, the default, would end them all.
        patience = InitProcessGroupKwargs(timeout=timedelta(days=7))
        self._accelerator = Accelerator(cpu=not torch.accelerator.is_available(), kwargs_handlers=[patience])
        if self._accelerator.num_processes > 1:
            atexit.register(_leave_group)
        self.device: torch.device = self._accelerator.device
        if device not in (None, "auto"):
            try:
                self.device = torch.device(str(device))
                torch.empty(1, device=self.device)
            except (RuntimeError, AssertionError) as error:
                raise InputError(
                    f"The device '{device}' cannot be used here ({str(error).splitlines()[0]})."
                ) from error

    @property
    def kind(self) -> str:
        """Device and precision, on which the last bits of a result depend."""
        return f"{self.device.type}, {self._accelerator.mixed_precision}"

    @property
    def processes(self) -> int:
        return self._accelerator.num_processes

    @property
    def rank(self) -> int:
        return self._accelerator.process_index

    @property
    def is_main(self) -> bool:
        return self._accelerator.is_main_process

    def autocast(self) -> AbstractContextManager[Any]:
        return self._accelerator.autocast()

    @contextmanager
    def workers(self) -> Iterator[ThreadPoolExecutor]:
        """Threads for batches: on a CPU several with a share of torch's threads each, on a GPU one.

        Small matrices gain little from torch's own threads, and where other programs use the cores too these wait for each
        other: measured on two busy cores, two torch threads took six times as long as one.
        """
        import torch

        threads = torch.get_num_threads()
        count = min(threads, _MOST_WORKERS) if self.device.type == "cpu" else 1
        pool = ThreadPoolExecutor(count)
        try:
            torch.set_num_threads(max(1, threads // count))
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank, in every process."""
        from accelerate.utils import gather_object

        return gather_object([value]) if self.processes > 1 else [value]

    def from_main(self, value: Any) -> Any:
        """The main process's value, in every process."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0] if self.processes > 1 else value

    def on_main(self, work: Callable[[], T]) -> T:
        """Does the work in the main process; its result, or its error, reaches every process."""
        if self.processes == 1:
            return work()
        result, failure = self.from_main(attempt(work) if self.is_main else (None, None))
        if failure is not None:
            raise failure
        return result


def _leave_group() -> None:
    """A process that ends within its group can be torn down while threads of the group still run, and dies of it."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
