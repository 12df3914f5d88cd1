"""The members of a crowd, from what the user wrote: names, a YAML file, or a list in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.member_file import read_member_file
from hf_soup.forecasting.member_name import parse_member, problem_of_model
from hf_soup.forecasting.member_settings import problems_of_settings
from hf_soup.forecasting.pasted_keys import problem_of_server, problem_of_variable

__all__ = ["parse_member", "read_members"]

_SERVED = "openai/"


def read_members(
    given: str | Path | Sequence[str | Member], *, api_base: str | None = None, api_key_env: str | None = None
) -> list[Member]:
    """Returns members with unique names: a second member of one model is `model#2`, unless it was given a name.

    >>> [member.name for member in read_members("openai/gpt-4o,openai/gpt-4o")]
    ['openai/gpt-4o', 'openai/gpt-4o#2']

    `given`: names with commas between (see `parse_member`), the path of a YAML file (see `read_member_file`), or a sequence of
    names and members. `api_base`: the server of the members whose model begins with `openai/`, and of no other; a member's
    own comes first. `api_key_env`: the environment variable with the key for that server; without, none is sent there.

    Raises InputError with every problem.
    """
    problems: list[str] = []
    members = _named_once(_members(given, problems), problems)
    served = [member.model.startswith(_SERVED) and member.api_base is None for member in members]
    problems += _problems_of_server(api_base, api_key_env, members)
    if not members and not problems:
        problems.append("There are no members; name at least one model, such as openai/gpt-4o:3.")
    if problems:
        raise InputError(problems)
    if api_base is None:
        return members
    return [
        replace(member, api_base=api_base, api_key_env=api_key_env) if is_served else member
        for member, is_served in zip(members, served, strict=True)
    ]


def _members(given: str | Path | Sequence[str | Member], problems: list[str]) -> list[Member]:
    if isinstance(given, Path) or (isinstance(given, str) and given.lower().endswith((".yaml", ".yml"))):
        try:
            return read_member_file(Path(given))
        except InputError as error:
            problems += error.problems
            return []
    if isinstance(given, str):
        given = given.split(",") if given.strip() else []
    members = []
    for each in given:
        try:
            members.append(_checked(each) if isinstance(each, Member) else parse_member(each))
        except InputError as error:
            problems += error.problems
    return members


def _checked(member: Member) -> Member:
    problems = problems_of_settings(member)
    if problem := problem_of_model(member.model):
        problems.append(f"'{member.model}' {problem}.")
    if not member.name.strip():
        problems.append("has no name.")
    if problems:
        raise InputError([f"{member.name or 'A member'}: {problem}" for problem in problems])
    return member


def _named_once(members: Sequence[Member], problems: list[str]) -> list[Member]:
    names = Counter(member.name for member in members if member.name != member.model)
    problems += [
        f"Two members are called '{name}'; give them different names." for name, count in names.items() if count > 1
    ]
    taken = set(names)
    unique = []
    for member in members:
        name, number = member.name, 1
        while member.name == member.model and name in taken:
            number += 1
            name = f"{member.model}#{number}"
        taken.add(name)
        unique.append(replace(member, name=name))
    return unique


def _problems_of_server(api_base: str | None, api_key_env: str | None, members: Sequence[Member]) -> list[str]:
    problems = []
    if api_base is not None:
        problems.append(problem_of_server(api_base))
        if members and not any(member.model.startswith(_SERVED) for member in members):
            problems.append(
                f"api_base serves the members whose model begins with {_SERVED}, and there is none; write {_SERVED}MODEL for a model of "
                "that server."
            )
    if api_key_env is not None:
        problems.append(problem_of_variable(api_key_env))
        if api_base is None:
            problems.append("api_key_env names the key for api_base (--api-base), which is not given.")
    return [problem for problem in problems if problem]
