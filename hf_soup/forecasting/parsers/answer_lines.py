"""The lines of an answer without the marks of Markdown and LaTeX, each with whether the model marked it as quoted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from hf_soup.forecasting.parsers.answer_text import GAP, plain
from hf_soup.forecasting.reading import AnswerForm

FIRST_LINES, LAST_LINES = 500, 2500
LINE_HEAD, LINE_TAIL = 4_000, 12_000
"""What is kept of more lines, that are not blank, and of a longer line."""

_FENCE = re.compile(r"\s{0,12}(```|~~~)(?!.*\1)")
_QUOTE = re.compile(r"\s{0,12}(?:[-*]\s)?>")
_BEFORE = re.compile(r"^(?:\s|>|#|\||[*+•·◦‣-]\s|(?:\d{1,2}|[a-z])[.)]\s)+")
_STRUCK = re.compile(r"~~[^~\n]{1,300}~~")
_BOX = re.compile(r"\\boxed\s?\{")
_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|mathbf|mathrm|mathit|mathsf|displaystyle|quad|qquad|left|right|tag)(?![a-z])"
)
_SYMBOLS = {
    r"\approx": "≈",
    r"\sim": "≈",
    r"\times": "×",
    r"\cdot": "×",
    r"\pm": "±",
    r"\to": "→",
    r"\rightarrow": "→",
}
_SYMBOL = re.compile("|".join(re.escape(name) for name in sorted(_SYMBOLS, key=len, reverse=True)))
_MATHEMATICS = re.compile(r"\$(\S(?:[^$\n]{0,80}?\S)?)\$(?!\d)")
_ESCAPE = re.compile(r"\\([^\w\s])")
_EMPHASIS = re.compile(r"(?<!\s)\*{1,3}|\*{1,3}(?!\s)|\*{2,3}")
_RULE = re.compile(r"[\s|:–=_*-]*")


@dataclass(frozen=True)
class Line:
    """`text` is plain. `quoted`: it stands in a fence or a block quote."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Answer:
    """What the parsers read. `said`: the model's words as they came, for JSON. `lines`: those that are not blank.

    `cut`: it did not end by itself, so that its last words may be incomplete; `ends_open`: no blank follows its last word.
    """

    form: AnswerForm
    said: str
    lines: tuple[Line, ...]
    cut: bool = False
    ends_open: bool = True

    @cached_property
    def own(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if not line.quoted)

    @cached_property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


def _mathematics(line: str) -> str:
    if "\\" in line:
        # A box is how models trained on mathematics mark their answer.
        line = _SYMBOL.sub(lambda symbol: _SYMBOLS[symbol[0]], _BOX.sub("answer: ", line))
        line = re.sub(r"\\[()\[\],;! ]", " ", _COMMAND.sub(" ", line))
        line = _ESCAPE.sub(r"\1", line)
    if "$" in line:
        line = _MATHEMATICS.sub(r"\1", line.replace("$$", " "))
    return line


def _unmarked(line: str) -> str:
    line = _mathematics(_STRUCK.sub(" ", line))
    line = re.sub(r"(?<=\d)\*(?=\d)", "×", line)
    line = _EMPHASIS.sub("", _BEFORE.sub("", line))
    line = re.sub(r"(?<=\w)_(?=\w)", " ", line).replace("_", "")
    return re.sub(r"\s+", " ", _BEFORE.sub("", line)).strip(" |{}")


def _bounded_lines(text: str) -> list[str]:
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    if len(lines) > FIRST_LINES + LAST_LINES:
        lines = [*lines[:FIRST_LINES], GAP, *lines[-LAST_LINES:]]
    return [line if len(line) <= LINE_HEAD + LINE_TAIL else _bounded_line(line) for line in lines]


def _bounded_line(line: str) -> str:
    """Without the words that the cuts went through: half of a number is another number."""
    return f"{line[:LINE_HEAD].rsplit(' ', 1)[0]} {GAP} {line[-LINE_TAIL:].split(' ', 1)[-1]}"


def read_answer_lines(said: str, form: AnswerForm, *, cut: bool) -> Answer:
    """The answer as the parsers read it. What a long one leaves out stands in its middle."""
    lines = []
    fence = None
    for line in _bounded_lines(plain(said)):
        if mark := _FENCE.match(line):
            if fence is None or fence == mark[1]:
                fence = mark[1] if fence is None else None
            continue
        text = _unmarked(line)
        if text and not _RULE.fullmatch(text):
            lines.append(Line(text, fence is not None or _QUOTE.match(line) is not None))
    return Answer(form, said, tuple(lines), cut, ends_open=not said[-1:].isspace())
