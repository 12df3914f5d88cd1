"""One request to a model through litellm, and its answer. Retries, caches and budgets of litellm stay off: ours are elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_soup.forecasting.failures import CallFailed, FailureKind, classify
from hf_soup.forecasting.keys import key_of
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.scrub import secrets_of_environment

LONGEST_TEXT = 200_000
"""Characters of an answer that are kept: its head and its tail. What is read from it stands at the end."""
_GRACE_S = 5.0  # beyond the timeout of the connection, which a server that sends a byte now and then never reaches
_HEAD = 20_000


@dataclass(frozen=True)
class Request:
    """`parameters`: as they are to be sent, see `parameters_of`."""

    member: Member
    messages: Sequence[Mapping[str, str]]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """`input_tokens`, `output_tokens`: as the provider counts them, None where it does not say."""

    text: str | None
    reasoning: str | None
    finish_reason: str | None
    returned_model: str | None
    system_fingerprint: str | None
    input_tokens: int | None
    output_tokens: int | None
    latency_s: float
    truncated: bool


def parameters_of(member: Member) -> dict[str, Any]:
    """Returns the parameters that a member's requests ask for; a temperature only where one was given."""
    asked: dict[str, Any] = {"max_tokens": member.longest_answer}
    if member.temperature is not None:
        asked["temperature"] = member.temperature
    return asked | dict(member.parameters)


async def complete(request: Request) -> Reply:
    """Sends one request, once. Raises CallFailed for whatever is no answer."""
    library = litellm()
    member = request.member
    key = key_of(member)
    start = time.perf_counter()
    try:
        async with asyncio.timeout(member.timeout_s + _GRACE_S):
            answer = await library.acompletion(
                model=member.model,
                messages=[dict(message) for message in request.messages],
                timeout=member.timeout_s,
                num_retries=0,
                max_retries=0,
                **({"api_base": member.api_base} if member.api_base else {}),
                **({"api_key": key} if key is not None else {}),
                **request.parameters,
            )
            if request.parameters.get("stream"):
                chunks = [chunk async for chunk in answer]
                answer = library.stream_chunk_builder(chunks, messages=list(request.messages))
    except Exception as error:  # litellm raises its own classes and, beside them, whatever its parts raise
        secrets = secrets_of_environment() | ({key} if key else set())
        raise classify(error, request.parameters, secrets) from error
    return _reply(answer, time.perf_counter() - start)


def _reply(answer: Any, latency_s: float) -> Reply:
    choices = getattr(answer, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        raise CallFailed(FailureKind.MALFORMED, "The answer has no message.", may_have_cost=True)
    message = choices[0].message
    text, cut = _bounded(_text(message.content))
    reasoning, _ = _bounded(_text(getattr(message, "reasoning_content", None)))
    usage = getattr(answer, "usage", None)
    return Reply(
        text=text,
        reasoning=reasoning,
        finish_reason=choices[0].finish_reason,
        returned_model=answer.model,
        system_fingerprint=getattr(answer, "system_fingerprint", None),
        input_tokens=_count(getattr(usage, "prompt_tokens", None)),
        output_tokens=_count(getattr(usage, "completion_tokens", None)),
        latency_s=latency_s,
        truncated=cut,
    )


def _text(content: Any) -> str | None:
    """Some models send their text in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None


def _bounded(text: str | None) -> tuple[str | None, bool]:
    if text is None or len(text) <= LONGEST_TEXT:
        return text, False
    return f"{text[:_HEAD]}\n[…]\n{text[-(LONGEST_TEXT - _HEAD) :]}", True


def _count(tokens: Any) -> int | None:
    """litellm puts 0 where a provider sends no usage."""
    return tokens if isinstance(tokens, int) and tokens > 0 else None
