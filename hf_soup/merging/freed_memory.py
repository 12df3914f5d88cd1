"""Memory that is freed and asked for again, thousands of times a second."""

from __future__ import annotations

_BYTES = 30 * 2**20  # below the 32 MiB up to which the C library learns


def keep_freed_memory() -> None:
    """Lets the C library keep the memory of freed blocks instead of giving it back to the system each time.

    glibc maps large blocks anew from the system, which clears every page of them, until it has seen a mapped block of that
    size freed; then it keeps up to twice as much. One freed block of 30 MiB teaches it. Without, blocks of 512 KiB cost
    a merge two to three times its time. Other C libraries are not harmed.
    """
    import torch

    torch.empty(_BYTES, dtype=torch.uint8)
