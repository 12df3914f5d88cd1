"""Several processes started by `torchrun` or `accelerate launch`: how many, which one, and what only one may do.

Accelerate is asked only where a launcher has started several processes: it takes seconds to import.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from hf_soup.errors import SoupError

T = TypeVar("T")


def rank() -> int:
    return int(os.environ.get("RANK", "0"))


def ranks() -> int:
    """The number of processes, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process prints and writes; true where there is only one."""
    return rank() == 0


def cores() -> int:
    """Returns the number of workers for this process: the cores that it may use, shared among those on this machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, usable) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def launched_alone() -> bool:
    """Whether `accelerate launch` was asked for several processes and started one, as it does with --cpu."""
    return "ACCELERATE_USE_CPU" in os.environ and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ


def end_process(code: int) -> NoReturn:
    """Ends the program; one of several processes without the interpreter's own teardown.

    Threads of torch.distributed may still run then, and sometimes abort a process whose work is done ("terminate called
    without an active exception"), which makes its launcher call the whole run a failure.
    """
    if ranks() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def on_main_process(work: Callable[[], T]) -> T:
    """Does the work in the main process; its result, or its error, reaches every process."""
    if ranks() == 1:
        return work()
    from hf_soup.evaluation.hardware import Hardware

    hardware = Hardware()
    outcome = attempt(work) if hardware.is_main else (None, None)
    result, failure = _together(lambda: hardware.from_main(outcome))
    if failure is not None:
        raise failure
    return result


def gather(value: T) -> list[T]:
    """The values of all processes, by rank, in every process; waits for all of them."""
    if ranks() == 1:
        return [value]
    from hf_soup.evaluation.hardware import Hardware

    hardware = Hardware()
    return _together(lambda: hardware.gather(value))


def _together(exchange: Callable[[], T]) -> T:
    """Raises SoupError when a process that should take part is no longer there."""
    try:
        return exchange()
    except RuntimeError as error:  # what torch.distributed raises when a connection is closed
        if isinstance(error, NotImplementedError | RecursionError):
            raise
        raise SoupError(
            f"Another process of this run has ended or cannot be reached ({str(error).splitlines()[0]}); what was done is "
            "kept, and the same command goes on."
        ) from error


def attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Returns the result, or the error in a form that can be sent to the processes that wait for this one's word."""
    try:
        return work(), None
    except Exception as error:
        return None, transportable(error)


def transportable(error: Exception) -> Exception:
    """The error itself where it can be sent to another process, else its words."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception as reason:
        return SoupError(f"{type(error).__name__}: {error} (which cannot be sent to other processes: {reason})")
    return SoupError(f"{type(error).__name__}: {error}")
