"""How many tokens a request has at most, without a tokenizer: those of many models would have to be downloaded first."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

_PLAIN = (string.ascii_letters + " ").encode()
_PER_MESSAGE = 12
"""Role and separators of a message; chat templates take 3 to 8 tokens."""


def count_tokens(messages: Sequence[Mapping[str, str]]) -> int:
    """Returns an upper estimate: one token for three ASCII letters and spaces, one for each byte of the rest.

    English has 4 to 5 bytes a token, numbers and code 2 to 3, which the prose around makes up for; a byte-level
    vocabulary never has more tokens than bytes, which other scripts come near.
    """
    return sum(_of_text(message["content"]) + _PER_MESSAGE for message in messages)


def _of_text(text: str) -> int:
    encoded = text.encode("utf-8", errors="replace")
    plain = len(encoded) - len(encoded.translate(None, _PLAIN))
    return -(-plain // 3) + len(encoded) - plain
