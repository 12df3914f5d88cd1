"""What somebody who wrote an unknown key probably meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def unknown_key(key: str, known: Collection[str]) -> str:
    """Returns a sentence about an unknown key that names the nearest known one, or all of them.

    >>> unknown_key("shardsize", ["dtype", "shard_size"])
    "is not known; did you mean 'shard_size'?"
    """
    near = get_close_matches(key, known, n=1)
    if near:
        return f"is not known; did you mean '{near[0]}'?"
    return f"is not known; known here: {', '.join(known)}." if known else "is not known; nothing can be set here."
