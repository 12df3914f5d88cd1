"""Secrets taken out of texts before they are written or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "[hidden]"
_SHORTEST = 8
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"(?:api|access|secret|private|auth)[-_]?(?:key|token)$|^(?:password|token)$", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(
    # What providers begin their keys with is also how names of models and words begin (hf-internal-testing, sk-learn-contrib):
    # one unbroken run of letters and digits is a key, a run in parts only with a digit or a capital in it.
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk|csk)[-_](?:[A-Za-z0-9]{16,}|(?=[a-z_-]{0,64}[A-Z0-9])[A-Za-z0-9_-]{16,})"
    r"|(?:gsk|xai|pplx|nvapi)[-_][A-Za-z0-9_-]{16,}"
    r"|(?:hf|r8|gh[pousr])_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|AIza[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}"
    r")"
)
_HEADER = re.compile(
    # "Emergency use authorization: granted?" is no header: that word counts with a scheme, a quote, or a digit in its value.
    r"(?P<name>(?:\b(?:x-api-key|api-key|api_key)\b[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?"
    r"|\bauthorization\b[\"']?\s*[:=]\s*(?:[\"']?(?:bearer|basic|token)\s+|[\"']|(?=[^\s\"',;}\d]{0,200}\d))))"
    r"(?P<value>[^\s\"',;}]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bbearer\s+(?=[A-Za-z._~+/=-]{0,200}\d)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def secrets_of_environment() -> set[str]:
    """Returns the values of variables that are called a key, a token or the like."""
    return {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """Returns the text with secrets as `[hidden]`: those that are given, what looks like a key, and values of key headers.

    >>> scrub("Incorrect API key provided: sk-abcdefgh12345678.")
    'Incorrect API key provided: [hidden].'
    """
    for secret in sorted((each for each in secrets if len(each) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _HEADER.sub(lambda found: f"{found['name']}{HIDDEN}", text)
    text = _BEARER.sub(f"Bearer {HIDDEN}", text)
    return _LOOKS_SECRET.sub(HIDDEN, text)


def scrub_all(value: Any, secrets: Iterable[str] = ()) -> Any:
    """Returns the value with every text in its lists and tables scrubbed; what stands under the name of a secret is hidden.

    >>> scrub_all({"extra_headers": {"Authorization": "Bearer abcdefgh"}, "max_tokens": 100})
    {'extra_headers': {'Authorization': '[hidden]'}, 'max_tokens': 100}
    """
    if isinstance(value, str):
        return scrub(value, secrets)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(each, str) and _is_secret_name(str(name)) else scrub_all(each, secrets)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [scrub_all(each, secrets) for each in value]
    return value


def _is_secret_name(name: str) -> bool:
    return name.lower() == "authorization" or _SECRET_FIELD.search(name) is not None
