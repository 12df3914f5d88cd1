"""API keys: from the environment only, each to its own provider, and missed before the first call."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member

NO_KEY = "none"
"""What is sent to a server of the user's own that was given no key: without anything, litellm would send the provider's."""


def key_of(member: Member) -> str | None:
    """Returns the key to send, None where litellm finds the provider's own."""
    if member.api_key_env is not None:
        return os.environ.get(member.api_key_env)
    return NO_KEY if member.api_base else None


def key_problems(members: Sequence[Member]) -> list[str]:
    """Returns a sentence for each member whose key is missing. Asks no provider whether a key is good."""
    problems = []
    for member in members:
        if member.api_key_env is not None:
            missing = [] if os.environ.get(member.api_key_env) else [member.api_key_env]
        elif member.api_base:
            missing = []
        else:
            found = litellm().validate_environment(model=member.model)
            missing = [] if found["keys_in_environment"] else list(found["missing_keys"])
        if missing:
            problems.append(
                f"{member.name}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set in the environment; "
                "export it, or leave this member out."
            )
    return problems
