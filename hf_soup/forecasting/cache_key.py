"""The digest by which an answer is found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def call_key(
    model: str,
    api_base: str | None,
    messages: Sequence[Mapping[str, str]],
    parameters: Mapping[str, Any],
    prompt_digest: str,
    sample: int,
    *,
    copy: int = 0,
    turn: int = 0,
    re_ask: bool = False,
    refill: int = 0,
) -> str:
    """Returns the SHA-256 of what makes a call the one that it is, in hexadecimal.

    The sample is part of it: five samples of one question are five calls. So is `refill`, how often the slot was filled
    again, and `copy`, how many members of a crowd that are the same came before. The order of parameters does not matter.
    """
    content = [model, api_base, list(messages), dict(parameters), prompt_digest, copy, sample, turn, re_ask, refill]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()
