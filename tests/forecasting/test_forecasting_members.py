"""Members as users write them: names with a number of samples, YAML files, one server for the `openai/` ones."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hf_soup.errors import InputError
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_S, Member
from hf_soup.forecasting.members import parse_member, read_members

KEY = "sk-proj-abcdefghijklmnop1234567890"


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "members.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(given: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_members(given, **options)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "model", "samples"),
    [
        ("openai/gpt-4o", "openai/gpt-4o", 1),
        ("openai/gpt-4o:3", "openai/gpt-4o", 3),
        (" gpt-4o:12 ", "gpt-4o", 12),
        ("ollama/llama3:8b", "ollama/llama3:8b", 1),
        ("ollama/llama3:8b:2", "ollama/llama3:8b", 2),
        ("openrouter/meta-llama/llama-3-8b:free", "openrouter/meta-llama/llama-3-8b:free", 1),
        ("openrouter/meta-llama/llama-3-8b:free:5", "openrouter/meta-llama/llama-3-8b:free", 5),
        ("bedrock/anthropic.claude-v2:1", "bedrock/anthropic.claude-v2:1", 1),
        ("bedrock/us-east-1/anthropic.claude-v2:1", "bedrock/us-east-1/anthropic.claude-v2:1", 1),
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1", 1),
        ("bedrock/anthropic.claude-v2:1:3", "bedrock/anthropic.claude-v2:1", 3),
        ("bedrock/nobody.knows-v9:0", "bedrock/nobody.knows-v9:0", 1),
        ("bedrock/nobody.knows-v9:0:4", "bedrock/nobody.knows-v9:0", 4),
        ("openai/org/model:together:2", "openai/org/model:together", 2),
        ("huggingface/together/deepseek-ai/DeepSeek-R1:3", "huggingface/together/deepseek-ai/DeepSeek-R1", 3),
    ],
)
def test_a_last_number_is_the_samples_unless_it_belongs_to_the_name(text: str, model: str, samples: int) -> None:
    assert parse_member(text) == Member(name=model, model=model, samples=samples)


def test_every_name_of_litellm_that_ends_in_a_number_stays_whole() -> None:
    names = [name for name in litellm().model_cost if re.search(r":\d+$", name) and " " not in name]
    assert len(names) > 100
    assert all(parse_member(name) == Member(name, name) for name in names)
    assert all(parse_member(f"{name}:7") == Member(name, name, samples=7) for name in names)


@pytest.mark.parametrize(
    "text", ["", ":3", "openai/", "/gpt", "openai//x", "openai/gpt 4", "openai/x:", "openai/x:-1", "a\nb"]
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_member(text)


def test_second_members_of_a_model_are_numbered_and_all_names_are_unique(tmp_path: Path) -> None:
    named = Member("openai/a#2", "openai/b")
    members = read_members(["openai/a:2", "openai/a", named, "openai/a", Member("mine", "openai/a")])
    assert [(each.name, each.samples) for each in members] == [
        ("openai/a", 2),
        ("openai/a#3", 1),
        ("openai/a#2", 1),
        ("openai/a#4", 1),
        ("mine", 1),
    ]
    assert _problems([Member("x", "openai/a"), Member("x", "openai/b")]) == (
        "Two members are called 'x'; give them different names.",
    )


def test_all_problems_of_a_list_are_told_at_once() -> None:
    problems = _problems("openai/x:-1,,openai/y,open ai/z")
    assert len(problems) == 3
    assert _problems("")[0].startswith("There are no members")
    assert _problems([])[0].startswith("There are no members")


def test_one_server_serves_the_openai_members_only_and_gets_no_key_that_nobody_named() -> None:
    own = Member("own", "openai/c", api_base="http://elsewhere/v1", api_key_env="OTHER_KEY")
    keyed = Member("keyed", "openai/d", api_key_env="OTHER_KEY")
    given = ["openai/a", "anthropic/b", "gpt-4o", own, keyed]
    a, b, bare, kept, replaced = read_members(given, api_base="http://localhost:8000/v1")
    assert (a.api_base, a.api_key_env) == ("http://localhost:8000/v1", None)
    assert [(each.api_base, each.api_key_env) for each in (b, bare)] == [(None, None)] * 2
    assert kept == own
    assert (replaced.api_base, replaced.api_key_env) == ("http://localhost:8000/v1", None)
    a, b, *_ = read_members(given, api_base="http://localhost:8000/v1", api_key_env="MY_KEY")
    assert [a.api_key_env, b.api_key_env] == ["MY_KEY", None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_base": "localhost:8000"}, "is no address"),
        ({"api_base": "http://[::1"}, "is no address"),
        ({"api_base": f"http://me:{KEY}@localhost/v1"}, "holds a key"),
        ({"api_base": f"http://localhost/v1?api_key={KEY}"}, "holds a key"),
        ({"api_key_env": "MY_KEY"}, "which is not given"),
        ({"api_base": "http://localhost/v1", "api_key_env": KEY}, "not the key itself"),
        ({"api_base": "http://localhost/v1", "api_key_env": "xHc0tWkQabcdefghij"}, "not the key itself"),
    ],
)
def test_servers_and_variables_that_are_none_are_refused_without_printing_a_key(options: Any, words: str) -> None:
    problems = _problems("openai/a", **options)
    assert len(problems) == 1
    assert words in problems[0]
    assert not re.search("abcdefghij", problems[0])


def test_a_server_without_a_member_to_serve_is_refused() -> None:
    assert "there is none" in _problems("anthropic/b", api_base="http://localhost/v1")[0]


def test_a_yaml_mapping_gives_members_with_settings(tmp_path: Path) -> None:
    (tmp_path / "short.md").write_text("---\nform: percent\n---\n{{ question }}\n", encoding="utf-8")
    path = _file(
        tmp_path,
        """
gpt: {model: openai/gpt-4o, samples: 3, temperature: 1, max_tokens: 900, timeout: 30, knowledge_cutoff: 2024-10}
local:
  model: openai/llama3:8
  samples: 2
  api_base: http://localhost:8000/v1
  api_key_env: LOCAL_KEY
  input_price: 0
  output_price: 0.5
  knowledge_cutoff: 2023-12-24
  prompt: short.md
  parameters: {reasoning_effort: low}
searching: {model: "perplexity/sonar:2", searches_the_web: true, knowledge_cutoff: 2025, prompt: base_rate}
gpt-web: {model: openai/gpt-search, parameters: {web_search_options: {}}}
openai/bare:4:
""",
    )
    gpt, local, searching, web, bare = read_members(path)
    assert gpt == Member(
        "gpt", "openai/gpt-4o", 3, temperature=1.0, max_tokens=900, timeout_s=30.0, knowledge_cutoff=date(2024, 10, 31)
    )
    assert local == Member(
        "local",
        "openai/llama3:8",
        2,
        api_base="http://localhost:8000/v1",
        api_key_env="LOCAL_KEY",
        input_price=0.0,
        output_price=0.5,
        knowledge_cutoff=date(2023, 12, 24),
        prompt=str(tmp_path / "short.md"),
        parameters={"reasoning_effort": "low"},
    )
    assert (searching.model, searching.samples, searching.prompt) == ("perplexity/sonar", 2, "base_rate")
    assert (searching.searches_the_web, searching.knowledge_cutoff) == (True, date(2025, 12, 31))
    assert web.searches_the_web
    assert (bare.name, bare.model, bare.samples) == ("openai/bare:4", "openai/bare", 4)
    assert (bare.max_tokens, bare.longest_answer, bare.timeout_s) == (None, DEFAULT_MAX_TOKENS, DEFAULT_TIMEOUT_S)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"samples": 0}, "samples: 0 is less than 1"),
        ({"max_tokens": -1}, "max_tokens: "),
        ({"timeout_s": 0.0}, "timeout: "),
        ({"timeout_s": float("nan")}, "timeout: "),
        ({"temperature": -0.1}, "temperature: "),
        ({"input_price": 1.0}, "one of them is missing"),
        ({"input_price": float("inf"), "output_price": 1.0}, "dollars per million tokens"),
        ({"api_base": f"http://u:{KEY}@h/v1"}, "holds a key"),
        ({"api_key_env": KEY}, "not the key itself"),
        ({"parameters": {"api_key": KEY}}, "they come from the environment"),
        ({"parameters": {"tools": []}}, "members are offered no tools"),
        ({"model": "a b"}, "holds white space"),
        ({"name": " "}, "has no name"),
    ],
)
def test_members_made_in_python_are_checked_as_well(settings: Any, words: str) -> None:
    (problem,) = _problems([Member(**({"name": "m", "model": "openai/a"} | settings))])
    assert words in problem
    assert KEY not in problem


def test_parameters_that_only_sound_like_a_key_are_passed_on(tmp_path: Path) -> None:
    wanted = {"prompt_cache_key": "study", "max_thinking_tokens": 5, "extra_body": {"top_k": 3}}
    (member,) = read_members(_file(tmp_path, f"m: {{model: openai/a, parameters: {wanted}}}"))
    assert member.parameters == wanted


def test_a_yaml_list_gives_members_named_after_their_models(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "- openai/a:3\n- {model: openai/a, temperature: 0}\n- {model: openai/a, name: warm, temperature: 1.5}\n",
    )
    members = read_members(str(path))
    assert [(each.name, each.samples, each.temperature) for each in members] == [
        ("openai/a", 3, None),
        ("openai/a#2", 1, 0.0),
        ("warm", 1, 1.5),
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("temprature: 1", "temprature: is not known; did you mean 'temperature'?"),
        ("wibble: 1", "wibble: is not known; known: model, name, samples"),
        ("samples: 0", "samples: "),
        ("samples: true", "samples: "),
        ("samples: '3'", "samples: "),
        ("temperature: -1", "temperature: "),
        ("temperature: .nan", "temperature: "),
        ("max_tokens: 0", "max_tokens: "),
        ("timeout: 0", "timeout: "),
        ("input_price: 1", "one of them is missing"),
        ("input_price: -1, output_price: 1", "input_price: "),
        ("knowledge_cutoff: last year", "knowledge_cutoff: "),
        ("searches_the_web: perhaps", "searches_the_web: "),
        ("prompt: plan", "is neither a file nor one of base_rate, interval"),
        ("prompt: plan", "Did you mean 'plain'?"),
        ("api_base: localhost", "is no address"),
        ("parameters: {temperature: 1}", "parameters.temperature: is a setting of the member"),
        ("parameters: {n: 5}", "write samples beside"),
        ("parameters: {tools: []}", "members are offered no tools"),
        ("parameters: {num_retries: 5}", "sent again by this package"),
        ("parameters: {caching: true}", "a cache would turn"),
        ("parameters: [a]", "parameters: "),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, settings: str, words: str) -> None:
    path = _file(tmp_path, f"m: {{model: openai/a, {settings}}}")
    (problem,) = _problems(path)
    assert problem.startswith(f"{path}: m: ")
    assert words in problem


@pytest.mark.parametrize(
    "settings",
    [
        f"api_key: {KEY}",
        "api_key: plain-words",
        f"key: {KEY}",
        f"note: {KEY}",
        f"api_key_env: {KEY}",
        f"parameters: {{api_key: {KEY}}}",
        f"parameters: {{extra_headers: {{Authorization: Bearer {KEY}}}}}",
        f"parameters: {{user: {KEY}}}",
        "parameters: {aws_access_key_id: plain-words}",
        f"parameters: {{extra_body: {{inner: [{{token: {KEY}}}]}}}}",
    ],
)
def test_a_key_in_a_file_is_refused_and_not_printed(tmp_path: Path, settings: str) -> None:
    (problem,) = _problems(_file(tmp_path, f"m: {{model: openai/a, {settings}}}"))
    assert "environment" in problem
    assert KEY not in problem
    assert "plain-words" not in problem


def test_all_problems_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "a: {model: 'x y', api_base: q, prompt: none}\nb: 5\nc: {modle: openai/c, samples: 2}\nd: {model: openai/d}",
    )
    places = [problem.removeprefix(f"{path}: ").split(":")[0] for problem in _problems(path)]
    assert places == ["a", "a", "a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no members"),
        ("just text", "holds no members"),
        ("a: [", "is not YAML"),
        ("a: {model: openai/a}\na: {model: openai/b}", "line 1: is not YAML ('a' stands there twice)"),
        ("- {samples: 3}", "member 1: model: is missing"),
    ],
)
def test_files_that_hold_no_members(tmp_path: Path, text: str, words: str) -> None:
    assert words in _problems(_file(tmp_path, text))[0]
    assert "there is no such file" in _problems(tmp_path / "none.yaml")[0]
