"""Keys of providers that were written where they do not belong: into a file, an address, or the place of a variable's name.

What is said about them never holds them: these sentences stand in terminals and logs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hf_soup.forecasting.scrub import scrub

_NAME_OF_SECRET = re.compile(
    r"(.*[-_])?(api|access|secret|private|account)[-_]?key([-_]id)?|key|.*(token|secret|password|passwd|credentials?)"
    r"|(proxy-?)?authorization|.*headers?",
    re.IGNORECASE,
)


def holds_key(name: Any, value: Any) -> bool:
    """Whether a setting is called a key or the like, or it or anything in it looks like one."""
    if _NAME_OF_SECRET.fullmatch(str(name)):
        return True
    if isinstance(value, Mapping):
        return any(holds_key(inner, each) for inner, each in value.items())
    if isinstance(value, list):
        return any(holds_key("", each) for each in value)
    return isinstance(value, str) and scrub(value) != value


def key_among_settings(name: Any) -> str:
    """Returns the sentence about a setting that holds a key."""
    return (
        f"{scrub(str(name))}: keys of providers are no settings, they come from the environment; take this out, and name "
        "the variable with api_key_env where it is not the provider's own."
    )


def problem_of_server(api_base: str) -> str | None:
    """Returns what is wrong with the address of a server, as a sentence."""
    try:
        parts = urlsplit(api_base)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "api_base is no address; write it as http://localhost:8000/v1."
    in_query = re.search(r"(key|token|secret)=", parts.query, re.IGNORECASE)
    if parts.username or parts.password or in_query or scrub(api_base) != api_base:
        return "api_base holds a key, which would stand in every transcript; give the address alone, and api_key_env."
    if parts.scheme not in ("http", "https") or not host:
        return f"api_base '{api_base}' is no address; write it as http://localhost:8000/v1."
    return None


def problem_of_variable(name: str) -> str | None:
    """Returns what is wrong with the name of the variable that holds a key, as a sentence."""
    may_be_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and scrub(name) == name
    # Some keys are letters and digits only; names of variables in capitals are the custom everywhere.
    if may_be_name and (name.upper() == name or name in os.environ):
        return None
    return "api_key_env is to be the name of an environment variable, such as MY_API_KEY, not the key itself."
