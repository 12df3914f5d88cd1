"""Members with settings of their own, from a YAML file. Keys of providers never stand in it, only the names of their variables."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hf_soup.errors import InputError
from hf_soup.forecasting.member import DEFAULT_TIMEOUT_S, Member
from hf_soup.forecasting.member_name import parse_member, problem_of_model
from hf_soup.forecasting.member_settings import problems_of_settings
from hf_soup.forecasting.pasted_keys import holds_key, key_among_settings
from hf_soup.forecasting.prompt import BUILT_IN, load_prompt
from hf_soup.forecasting.scrub import scrub

_SEARCHING = {"web_search_options", "search_parameters", "search_recency_filter"}


def _last_day(value: Any) -> Any:
    """A month or a year as its last day: what training data *may* cover is what counts."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if re.fullmatch(r"\d{4}", text):
        return date(int(text), 12, 31)
    if found := re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text):
        year, month = int(found[1]), int(found[2])
        return date(year, month, calendar.monthrange(year, month)[1])
    return date.fromisoformat(value) if isinstance(value, str) else value


_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    name: str | None = Field(None, min_length=1, pattern=r"^[^\x00-\x1f]+$")
    samples: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    timeout: float = Field(DEFAULT_TIMEOUT_S, gt=0, allow_inf_nan=False)
    input_price: _Price | None = None
    output_price: _Price | None = None
    api_base: str | None = None
    api_key_env: str | None = None
    knowledge_cutoff: Annotated[date | None, BeforeValidator(_last_day)] = None
    searches_the_web: bool = False
    prompt: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


SETTINGS = tuple(_Settings.model_fields)


def read_member_file(path: Path) -> list[Member]:
    """Returns the members of a YAML file: a list, or a mapping of names to settings.

        gpt: {model: openai/gpt-4o, samples: 3, temperature: 1, knowledge_cutoff: 2024-10}
        ours: {model: openai/llama, api_base: "http://localhost:8000/v1", input_price: 0, output_price: 0}

    Settings are those of `Member`, with `timeout` in seconds and prices in dollars per million tokens. A list holds mappings with
    `model` and, if wanted, `name`, or names such as `openai/gpt-4o:3`. Without `model` the name is the model;
    a number at its end is the samples, unless `samples` is given. `knowledge_cutoff` is a day, a month or a year. `prompt` is
    the name of one, or a file, as seen from this one. Raises InputError with every problem; it prints no value that may be a key.
    """
    document = _document(path)
    if isinstance(document, list) and document:
        entries = [(f"member {at}", entry) for at, entry in enumerate(document, 1)]
    elif isinstance(document, dict) and document:
        entries = [
            (str(name), {"name": str(name), **(settings or {})} if isinstance(settings, dict | None) else settings)
            for name, settings in document.items()
        ]
    else:
        raise InputError(f"{path}: holds no members; write a list, or `name: {{model: provider/model, samples: 3}}`.")
    members, problems = [], []
    for place, entry in entries:
        try:
            members.append(parse_member(entry) if isinstance(entry, str) else _member(entry, path.parent))
        except InputError as error:
            problems += [f"{path}: {place}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return members


def _member(entry: Any, folder: Path) -> Member:
    if not isinstance(entry, dict):
        raise InputError(f"is a {type(entry).__name__}; write `model: provider/model` and its settings.")
    problems = list(_problems_of_keys(entry))
    if problems:
        raise InputError(problems)
    try:
        given = _Settings.model_validate(entry)
    except ValidationError as error:
        raise InputError([f"{each['loc'][0]}: {_sentence(each['msg'])}" for each in error.errors()]) from error
    prompt = _prompt(given.prompt, folder, problems)
    try:
        named = _named(given)
    except InputError as error:
        problems += error.problems
        named = Member("", "")
    member = Member(
        name=given.name or named.model,
        model=named.model,
        samples=named.samples,
        api_base=given.api_base,
        api_key_env=given.api_key_env,
        temperature=given.temperature,
        max_tokens=given.max_tokens,
        timeout_s=given.timeout,
        input_price=given.input_price,
        output_price=given.output_price,
        knowledge_cutoff=given.knowledge_cutoff,
        searches_the_web=given.searches_the_web or bool(_SEARCHING & set(given.parameters)),
        prompt=prompt,
        parameters=given.parameters,
    )
    problems += problems_of_settings(member)
    if problems:
        raise InputError(problems)
    return member


def _named(given: _Settings) -> Member:
    model = given.model or given.name
    if not model:
        raise InputError("model: is missing; write `model: provider/model`.")
    if given.samples is None:
        return parse_member(model)
    if problem := problem_of_model(model):
        raise InputError(f"'{model}' {problem}.")
    return Member(name=model, model=model, samples=given.samples)


def _problems_of_keys(entry: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in entry.items():
        if key in SETTINGS:
            continue
        if holds_key(key, value):
            yield key_among_settings(key)
            continue
        near = get_close_matches(str(key), SETTINGS, n=1)
        yield f"{key}: is not known; " + (f"did you mean '{near[0]}'?" if near else f"known: {', '.join(SETTINGS)}.")


def _prompt(prompt: str | None, folder: Path, problems: list[str]) -> str | None:
    if prompt is None or prompt in BUILT_IN:
        return prompt
    path = folder / prompt
    try:
        load_prompt(path)
    except InputError as error:
        problems += [f"prompt: {problem}" for problem in error.problems]
    return str(path)


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{text}." if not text.endswith(".") else text


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win in silence; here that is a member who is never asked."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.MarkedYAMLError(problem=f"'{scrub(twice[0])}' stands there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _document(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_UniqueKeys)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text ({type(error).__name__}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(
            f"{path}: {line}is not YAML ({getattr(error, 'problem', None) or 'unknown reason'})."
        ) from error
