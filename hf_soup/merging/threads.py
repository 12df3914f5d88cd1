"""One torch thread per worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Workers share the cores; torch's own threads on top of them cost up to ten times the time.

    Holds for the whole process. Blocks are so small that a single thread is no slower for them either.
    """
    import torch

    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
