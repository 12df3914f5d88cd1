"""The language of prompts: fields and conditions on fields, filled in by Jinja, and nothing else that Jinja can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError, nodes

from hf_soup.forecasting.answer_line import answer_line
from hf_soup.forecasting.fence import fenced
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.reading import AnswerForm

_FILLED: Mapping[str, Callable[[Any, str], str]] = {
    **dict.fromkeys(("question", "background", "resolution_criteria", "topic"), fenced),
    **dict.fromkeys(("open_date", "close_date"), lambda moment, _: f"{moment:%Y-%m-%d}"),
    "crowd": lambda crowd, _: f"{100 * crowd:.2f}%",
}
FIELDS = (*_FILLED, "answer_line")

# Filters, loops, calls and attributes could take a fence apart, and a prompt from elsewhere is to be text, not a program.
_ALLOWED = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.Not, nodes.And, nodes.Or)
_ENVIRONMENT = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False, undefined=StrictUndefined)


def filled(template: str, question: Question, form: AnswerForm) -> str:
    """Returns the template with the fields of a question, texts of strangers in fences. See `fields_missing` first."""
    values: dict[str, Any] = {name: _Absent(name, []) for name in _lacking(question)}
    values["answer_line"] = answer_line(form)
    for name in set(FIELDS) - set(values):
        values[name] = _FILLED[name](getattr(question, name), name)
    return _compiled(template).render(values)


def fields_missing(template: str, question: Question) -> tuple[str, ...]:
    """Returns the fields that the template puts out, given its conditions, and that the question lacks."""
    return _missing(template, _lacking(question))


@cache
def fields_of(template: str) -> frozenset[str]:
    """Returns the names of all fields in a template, those in conditions included."""
    return frozenset(node.name for node in _nodes(_ENVIRONMENT.parse(template)) if isinstance(node, nodes.Name))


def template_problems(template: str, *, shows_question: bool) -> Iterator[str]:
    """Yields what is wrong with a template. `shows_question`: whether it is to put out the question, whatever else is known."""
    if not template:
        yield "there is no text."
        return
    try:
        tree = _ENVIRONMENT.parse(template)
    except TemplateSyntaxError as error:
        yield f"line {error.lineno} of the text: {error.message}"
        return
    odd = sorted({node.lineno for node in _nodes(tree) if not isinstance(node, _ALLOWED)})
    if odd:
        yield f"line {', '.join(map(str, odd))} of the text: only {{{{ field }}}} and {{% if field %}} are understood."
    unknown = sorted(fields_of(template) - set(FIELDS))
    for name in unknown:
        near = get_close_matches(name, FIELDS, n=1)
        meant = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(FIELDS)}."
        yield f"the field '{name}' is not known; {meant}"
    if not odd and not unknown:
        yield from _problems_when_filled(template, shows_question)


class _Absent:
    """A field that a question lacks: false in conditions, and noted where it is put out."""

    def __init__(self, name: str, noted: list[str]) -> None:
        self.name, self.noted = name, noted

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        self.noted.append(self.name)
        return ""


def _lacking(question: Question) -> frozenset[str]:
    return frozenset(name for name in _FILLED if getattr(question, name) in (None, ""))


@cache
def _missing(template: str, lacking: frozenset[str]) -> tuple[str, ...]:
    noted: list[str] = []
    _compiled(template).render({name: _Absent(name, noted) if name in lacking else "x" for name in FIELDS})
    return tuple(dict.fromkeys(noted))


def _problems_when_filled(template: str, shows_question: bool) -> Iterator[str]:
    """Tried with a question of which everything is known, and with one of which nothing else is."""
    marks = {name: f"\0{name}\0" for name in FIELDS}
    bare = {name: _Absent(name, []) for name in _FILLED} | {name: marks[name] for name in ("question", "answer_line")}
    texts = [_compiled(template).render(values) for values in (marks, bare)]
    if shows_question and not all(marks["question"] in text for text in texts):
        yield "the field 'question' is missing; write {{ question }} where it is to stand, whatever else is known of it."
    lines = {line for text in texts for line in text.split("\n")}
    for name, fill in _FILLED.items():
        if fill is fenced and any(marks[name] in line and line != marks[name] for line in lines):
            yield f"the field '{name}' is to stand alone on its line, since a fence is made of lines."


@cache
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def _nodes(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _nodes(child)
