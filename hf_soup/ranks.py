"""Several processes started by `torchrun` or `accelerate launch`: what only one of them may do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def is_main_process() -> bool:
    """Whether this process prints and writes; true where there is only one."""
    return int(os.environ.get("RANK", "0")) == 0


def on_main_process(work: Callable[[], T]) -> T:
    """Does the work in the main process; its result, or its error, reaches every process.

    Accelerate is asked only where a launcher has started several processes: it takes seconds to import.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return work()
    from hf_soup.evaluation.hardware import Hardware

    return Hardware().on_main(work)
