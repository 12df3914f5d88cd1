"""Keys come from the environment, each goes to its own provider, and a missing one is known before the first call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from loopback_llm import LoopbackLLM

from hf_soup.forecasting.failures import CallFailed
from hf_soup.forecasting.keys import key_problems
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.provider import Request, complete

OPENAI_KEY = "sk-openai-key-of-the-user-0001"


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)


def headers_of(server: LoopbackLLM, member: Member) -> dict[str, str]:
    asyncio.run(complete(Request(member, [{"role": "user", "content": "Will it?"}])))
    return server.received[-1].headers


def test_missing_keys_are_listed_by_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x" * 20)
    members = [
        Member("first", "openai/gpt-4o"),
        Member("second", "anthropic/claude-sonnet-4-5"),
        Member("third", "groq/llama-3.3-70b-versatile"),
        Member("fourth", "openai/x", api_base="http://127.0.0.1:9/v1", api_key_env="MY_SERVER"),
        Member("fifth", "openai/x", api_base="http://127.0.0.1:9/v1"),
    ]
    problems = key_problems(members)
    assert [problem.split(":")[0] for problem in problems] == ["first", "third", "fourth"]
    for problem, name in zip(problems, ("OPENAI_API_KEY", "GROQ_API_KEY", "MY_SERVER"), strict=True):
        assert name in problem


@pytest.mark.parametrize("model", ["openai/m", "groq/m", "anthropic/m", "huggingface/together/a/b"])
def test_a_providers_key_never_reaches_another_host(
    server: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGINGFACE_API_KEY"):
        monkeypatch.setenv(name, OPENAI_KEY)
    server.received.clear()
    with suppress(CallFailed):  # some providers answer in a form of their own
        headers_of(server, Member("m", model, api_base=server.api_base))
    assert server.received
    assert OPENAI_KEY not in str([received.headers for received in server.received])


def test_a_server_gets_the_key_that_is_named_for_it(server: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("MY_SERVER", "the-key-of-my-server")
    headers = headers_of(server, Member("m", "openai/m", api_base=server.api_base, api_key_env="MY_SERVER"))
    assert headers["authorization"] == "Bearer the-key-of-my-server"
