"""What is checked in the settings of a member, wherever they come from: a file, or Python."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hf_soup.forecasting.member import Member
from hf_soup.forecasting.pasted_keys import holds_key, key_among_settings, problem_of_server, problem_of_variable

_OURS = {
    "model": "model",
    "messages": "prompt",
    "api_base": "api_base",
    "base_url": "api_base",
    "timeout": "timeout",
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "n": "samples",
}
_NEVER = {
    **dict.fromkeys(("tools", "tool_choice", "functions", "function_call"), "members are offered no tools"),
    **dict.fromkeys(("num_retries", "max_retries", "fallbacks"), "failed calls are sent again by this package"),
    **dict.fromkeys(("cache", "caching"), "a cache would turn several samples into one"),
    "mock_response": "it would pass for an answer",
}


def problems_of_settings(member: Member) -> list[str]:
    """Returns a sentence for each setting that cannot be, beginning with its name. None of them prints what may be a key."""
    return [*_of_numbers(member), *_of_server(member), *_of_parameters(member)]


def _of_numbers(member: Member) -> Iterator[str]:
    for name, number, least in (("samples", member.samples, 1), ("max_tokens", member.max_tokens, 1)):
        if number is not None and number < least:
            yield f"{name}: {number} is less than {least}."
    if not 0 < member.timeout_s < math.inf:
        yield f"timeout: {member.timeout_s} is no number of seconds above 0."
    if member.temperature is not None and not 0 <= member.temperature < math.inf:
        yield f"temperature: {member.temperature} is no number from 0 on."
    prices = (member.input_price, member.output_price)
    if prices.count(None) == 1:
        yield "input_price and output_price: one of them is missing; a price has both."
    for price in prices:
        if price is not None and not 0 <= price < math.inf:
            yield f"input_price and output_price: {price} is no number of dollars per million tokens."


def _of_server(member: Member) -> Iterator[str]:
    if member.api_base is not None and (problem := problem_of_server(member.api_base)):
        yield problem
    if member.api_key_env is not None and (problem := problem_of_variable(member.api_key_env)):
        yield problem


def _of_parameters(member: Member) -> Iterator[str]:
    for key, value in member.parameters.items():
        if holds_key(key, value):
            yield key_among_settings(f"parameters.{key}")
        elif key in _OURS:
            yield f"parameters.{key}: is a setting of the member; write {_OURS[key]} beside `parameters`."
        elif key in _NEVER:
            yield f"parameters.{key}: cannot be set, since {_NEVER[key]}."
