"""What a model is asked: a Markdown file with named fields, filled in with a question.

A prompt file begins with a front matter that says what comes back:

    ---
    form: percent
    negated: false
    about: one line for people
    ---

`form` is one of `AnswerForm` (percent, fraction, interval, json); `negated: true` says that the probability of *no* is asked for. The text
below is sent as one message. It has fields, `{{ question }}`, and parts that appear only where a question has what they
need, `{% if background %} … {% endif %}` (also with `not`, `and`, `or`, `{% else %}`); that is all, so that a prompt from elsewhere is text and not a
program. A line `<!-- second turn -->` begins what is asked after the first answer.

Fields: `question`, `background`, `resolution_criteria`, `topic` (each of them comes in a fence of its own, see `fence`),
`open_date`, `close_date`, `crowd` (as 37.50%), and `answer_line`, the sentences that ask for the form. Two things are no fields:
today's date, since an interrupted run that goes on the next day would ask everything again, and the day of
resolution, which for a past question may tell how it ended.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from hf_soup.errors import InputError
from hf_soup.forecasting.answer_line import answer_line, re_ask
from hf_soup.forecasting.fence import NOTE
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.reading import AnswerForm
from hf_soup.forecasting.template import fields_missing, fields_of, filled, template_problems

__all__ = ["BUILT_IN", "Prompt", "load_prompt", "re_ask"]

RENDERING = 1
"""Grows when the same template and question become another message, since digests of prompts have to tell the two apart."""

_FOLDER = Path(__file__).with_name("prompts")
BUILT_IN = tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))
"""The names of the prompts that come with the package."""

_KEYS = ("form", "negated", "about")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*\n(.*)\Z", re.DOTALL)
_SECOND_TURN = re.compile(r"^<!-- *second turn *-->[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """`turns`: one template, or two; see the module for their language. `negated`: the probability of "no" is asked for.

    `name`: of a built-in one, or the name of the file, with its suffix.
    """

    name: str
    form: AnswerForm
    turns: tuple[str, ...]
    negated: bool = False
    about: str = ""

    @cached_property
    def digest(self) -> str:
        """Of what decides which messages come out: templates, form, and how this package renders them; not of the name."""
        content = [RENDERING, NOTE, answer_line(self.form), re_ask(self.form), self.negated, *self.turns]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def first(self, question: Question) -> list[dict[str, str]]:
        """Returns the messages of the first turn. Raises InputError where the question lacks a field that is needed."""
        return [{"role": "user", "content": self._render(0, question)}]

    def second(
        self, question: Question, first_messages: Sequence[Mapping[str, str]], first_text: str
    ) -> list[dict[str, str]] | None:
        """Returns the messages of the second turn: those of the first, its answer, and what is asked then.

        None for a prompt of one turn, and for a question that lacks a field of the second, such as a crowd.
        """
        if len(self.turns) == 1 or fields_missing(self.turns[1], question):
            return None
        return [
            *map(dict, first_messages),
            {"role": "assistant", "content": first_text},
            {"role": "user", "content": self._render(1, question)},
        ]

    def shows_crowd(self, turn: int) -> bool:
        """Whether the crowd's forecast is in the message of this turn (0 or 1) or in one before it."""
        return any("crowd" in fields_of(template) for template in self.turns[: turn + 1])

    def problems(self, questions: Sequence[Question]) -> list[str]:
        """Returns a sentence for each field that the first turn needs and some questions lack, or the second and all. Ask before
        the first call."""
        return [
            f"The prompt {self.name} needs '{name}', which {_of_them(ids, questions)}."
            for turn in range(len(self.turns))
            for name, ids in self._lacking(turn, questions).items()
            if turn == 0 or len(ids) == len(questions)
        ]

    def notes(self, questions: Sequence[Question]) -> list[str]:
        """Returns a sentence for each field of the second turn that some questions lack: they are asked the first turn alone."""
        if len(self.turns) == 1:
            return []
        return [
            f"The second turn of the prompt {self.name} shows '{name}', which {_of_them(ids, questions)}; they are asked the "
            "first turn alone."
            for name, ids in self._lacking(1, questions).items()
            if len(ids) < len(questions)
        ]

    def lacks(self, turn: int, question: Question) -> tuple[str, ...]:
        """Returns the names of the fields of a turn (0 or 1) that the question lacks."""
        return fields_missing(self.turns[turn], question)

    def _lacking(self, turn: int, questions: Sequence[Question]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for question in questions:
            for name in self.lacks(turn, question):
                found.setdefault(name, []).append(question.id)
        return found

    def _render(self, turn: int, question: Question) -> str:
        if missing := fields_missing(self.turns[turn], question):
            raise InputError(f"The prompt {self.name} needs '{missing[0]}', which question '{question.id}' lacks.")
        text = filled(self.turns[turn], question, self.form)
        return f"{NOTE}\n\n{text}" if turn == 0 else text


def _of_them(ids: Sequence[str], questions: Sequence[Question]) -> str:
    return f"{len(ids)} of {len(questions)} questions lack: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}"


def load_prompt(name_or_path: str | Path) -> Prompt:
    """Returns a built-in prompt by its name, or the one in a file.

    >>> load_prompt("interval").form
    <AnswerForm.INTERVAL: 'interval'>

    Raises InputError with every problem of a file: a field that is not known, a prompt that never shows the question, ...
    """
    if isinstance(name_or_path, str) and name_or_path in BUILT_IN:
        path, name = _FOLDER / f"{name_or_path}.md", name_or_path
    else:
        path = Path(name_or_path)
        name = path.name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        near = get_close_matches(path.stem, BUILT_IN, n=1)
        meant = f" Did you mean '{near[0]}'?" if near else ""
        raise InputError(
            f"The prompt '{name_or_path}' is neither a file nor one of {', '.join(BUILT_IN)}.{meant}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The prompt {path}: cannot be read as a text in UTF-8 ({type(error).__name__}).") from error
    return _parsed(text, name)


def _parsed(text: str, name: str) -> Prompt:
    found = _FRONT_MATTER.match(text)
    if not found:
        raise InputError(
            f"The prompt {name}: begins with no front matter; its first lines are to be ---, form: percent, ---."
        )
    problems: list[str] = []
    settings = _settings(found[1], problems)
    turns = tuple(turn.strip() for turn in _SECOND_TURN.split(found[2]))
    if len(turns) > 2:
        problems.append("has more than two turns.")
    for number, turn in enumerate(turns, 1):
        place = f"turn {number}: " if len(turns) > 1 else ""
        problems += [f"{place}{problem}" for problem in template_problems(turn, shows_question=number == 1)]
    if problems:
        raise InputError([f"The prompt {name}: {problem}" for problem in problems])
    return Prompt(
        name,
        AnswerForm(settings["form"]),
        turns,
        settings.get("negated", False),
        str(settings.get("about", "")).strip(),
    )


def _settings(front_matter: str, problems: list[str]) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(front_matter)
    except yaml.YAMLError as error:
        problems.append(f"its front matter is not YAML ({getattr(error, 'problem', None) or 'unknown reason'}).")
        return {}
    if not isinstance(settings, dict):
        problems.append("its front matter holds no settings; write form: percent.")
        return {}
    for key in settings:
        if key not in _KEYS:
            problems.append(f"its front matter has the unknown key '{key}'; known: {', '.join(_KEYS)}.")
    if settings.get("form") not in list(AnswerForm):
        problems.append(f"form: {settings.get('form')!r} is to be one of {', '.join(AnswerForm)}.")
    if not isinstance(settings.get("negated", False), bool):
        problems.append(f"negated: {settings['negated']!r} is to be true or false.")
    return settings
