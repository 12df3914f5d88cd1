"""The short way to write a member: `provider/model:samples`."""

from __future__ import annotations

import re

from hf_soup.errors import InputError
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member

_COUNT = re.compile(r"(?P<model>.+):(?P<samples>[0-9]{1,9})")
_BAD = re.compile(r"[\s\x00-\x1f\x7f]")
_NEGATIVE = re.compile(r".*:-[0-9]+")


def parse_member(text: str) -> Member:
    """Returns the member that `provider/model[:samples]` names, in litellm's names of models.

    >>> parse_member("openrouter/meta-llama/llama-3-8b:free").samples
    1

    A last `:number` is the number of samples, unless it is `:0` or litellm knows the whole name, as with
    `bedrock/anthropic.claude-v2:1`, of which `bedrock/anthropic.claude-v2:1:3` are three samples. A model whose own name ends
    in a number and that litellm does not know is written in a file, with `samples`.

    A model on Hugging Face's Inference Providers is `huggingface/PROVIDER/ORG/MODEL`, or `openai/ORG/MODEL:PROVIDER` with
    the api_base `https://router.huggingface.co/v1` and the api_key_env `HF_TOKEN`.

    Raises InputError for what names no model.
    """
    text = text.strip()
    found = _COUNT.fullmatch(text)
    if found and int(found["samples"]) > 0 and not _is_known(text):
        model, samples = found["model"], int(found["samples"])
    else:
        model, samples = text, 1
    if problem := problem_of_model(model):
        raise InputError(f"'{text}' {problem}.")
    return Member(name=model, model=model, samples=samples)


def problem_of_model(model: str) -> str | None:
    """Returns what is wrong with the name of a model as a clause, None for a name that may be one."""
    if not model or model.startswith(":"):
        return "names no model; write provider/model, or provider/model:samples"
    if _BAD.search(model):
        return "holds white space; names of models have none"
    if "" in model.split("/") or model.endswith(":"):
        return "ends or begins in the middle of a name; write provider/model, or provider/model:samples"
    if _NEGATIVE.fullmatch(model):
        return "asks for less than one sample"
    return None


def _is_known(name: str) -> bool:
    """Whether litellm lists this name, with or without the provider and region before it."""
    parts = name.split("/")
    return any("/".join(parts[at:]) in litellm().model_cost for at in range(len(parts)))
