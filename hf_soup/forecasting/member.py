"""A member of a crowd: one model, how it is reached and how often it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

DEFAULT_MAX_TOKENS = 4_096
DEFAULT_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Member:
    """`model` is litellm's name; `name` what tables call the member (the model, unless two members have the same one).

    `temperature` None leaves it to the provider. Prices in dollars per million tokens, None where litellm's table or none
    counts. `prompt`: the name or file of a prompt of its own. `parameters`: further parameters of the request, such as
    `reasoning_effort`. `knowledge_cutoff`: last day that its training data may cover, None where it is not known.
    """

    name: str
    model: str
    samples: int = 1
    api_base: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable with the key; None for the provider's own, and for no key where `api_base` is set."""
    temperature: float | None = None
    max_tokens: int | None = None
    """Of an answer; None for the crowd's, and DEFAULT_MAX_TOKENS where it has none."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    input_price: float | None = None
    output_price: float | None = None
    knowledge_cutoff: date | None = None
    searches_the_web: bool = False
    prompt: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def longest_answer(self) -> int:
        """Tokens that an answer has at most."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def place(self) -> str:
        """Where its requests go: the user's own server, or the provider. Calls to one place share a semaphore."""
        return self.api_base or self.provider

    @property
    def provider(self) -> str:
        """The first part of litellm's name, `openai` where there is none."""
        return self.model.split("/", 1)[0] if "/" in self.model else "openai"
