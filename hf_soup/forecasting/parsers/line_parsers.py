"""Parsers that find the forecast on a line of its own: labelled, a range, a number alone, or quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hf_soup.forecasting.parsers.amounts import Amount, Unreadable, read_amount
from hf_soup.forecasting.parsers.answer_lines import Answer, Line
from hf_soup.forecasting.parsers.answer_parser import parser
from hf_soup.forecasting.parsers.labels import Labelled, labels_of
from hf_soup.forecasting.reading import AnswerForm

CANDIDATES = 100
"""Labelled lines that are looked at, from the end."""

_REVISES = re.compile(
    r"\b(?:now|but|however|adjust\w*|updat\w*|next|step|evidence|weigh\w*|let me|reconsider\w*|re-?check|hmm|wait|then"
    r"|on the other hand|though|yet|factors?|test)\b",
    re.IGNORECASE,
)
_SAYS_QUOTED = re.compile(
    r"\b(?:background|passage|pasted?|quot\w+|instruct\w*|inject\w*|planted|embedded|manipulat\w*|hostile|comment\w*"
    r"|contains?|reads?|says?|said|wrote|writes|according to|resolution details|fine print|article"
    r"|question (?:includes|text)"
    r"|material|document|ignore\w*)\b",
    re.IGNORECASE,
)
_BEGINS_WITH_A_NUMBER = re.compile(
    r"[\"'`(\[~≈+<>]*(?:(?:about|around|approximately|roughly)\s)?[~+–-]?[\d.]", re.IGNORECASE
)
_ALONE = re.compile(
    r"[\"'`\])}.!,;]*\s?(?:(?:chance|probability|likelihood|likely)\b[^.:;%\d]{0,100})?[\"'`\])}.!]*"
    r"|[\"'`)]*\s?(?:[(–-]|because|since)\s?[^%]{0,300}",
    re.IGNORECASE,
)


def _is_revised(answer: Answer, amount: Amount, line: int, lines: tuple[Line, ...]) -> bool:
    """In an answer that did not end by itself: whether the number may go on, or the text went on to change it."""
    after = "\n".join(each.text for each in lines[line + 1 :])
    if not amount.closed and not after and answer.ends_open:
        return True
    return bool(_REVISES.search(after) or _REVISES.search(amount.rest))


def _value(label: Labelled, answer: Answer, line: str, following: str | None) -> Amount | Unreadable | None:
    """The amount after a label, or on the next line where the label stands alone."""
    if label.value.strip(" .\"'`)"):
        found = read_amount(label.value, answer.form, label.scale)
        words = label.value.split()
        if found is None and label.stated and label.first and len(words) <= 6 and not re.search(r"\?|\|", line):
            return Unreadable(f"no number after the label: {label.value.strip()[:60]}", is_number=False)
        return found
    return read_amount(following, answer.form, label.scale) if following else None


def _labelled_values(
    answer: Answer, lines: tuple[Line, ...], *, quoted: bool = False
) -> Iterator[tuple[int, Labelled, Amount | Unreadable]]:
    """From the last line to the first: of each, the first label that has something in the place of its number."""
    count = 0
    for number in range(len(lines) - 1, -1, -1):
        following = lines[number + 1].text if number + 1 < len(lines) else None
        for label in labels_of(lines[number].text):
            if label.quoted and not quoted:
                continue
            value = _value(label, answer, lines[number].text, following)
            if value is not None:
                count += 1
                yield number, label, value
                break
        if count >= CANDIDATES:
            return


@parser(rung=30)
def labelled_line(answer: Answer) -> Amount | Unreadable | None:
    """The last line with a label and a number or a range: `Probability: 64.00%`; also "my final probability is 64%"."""
    lines = answer.own
    cases: list[Amount] = []
    for number, label, value in _labelled_values(answer, lines):
        last = number == len(lines) - 1
        strong = (label.plain and (answer.form is AnswerForm.INTERVAL or not label.of_range)) and (
            (label.first and (label.stated or label.own or last))
            or (label.own and last)
            or (label.own and label.stated)
        )
        if isinstance(value, Unreadable):
            if strong and label.stated and label.first:
                return value
            continue
        if answer.cut and (not strong or _is_revised(answer, value, number, lines)):
            return None
        if strong:
            return value
        cases.append(value)
    # "Probability of A: 20%", "Probability of B: 45%": which of them is the event is not for a parser to say.
    return cases[0] if len({amount.probability for amount in cases}) == 1 else None


@parser(rung=40)
def range_line(answer: Answer) -> Amount | Unreadable | None:
    """The last line that is a range and nothing else: `Between 34.00% and 46.50%`; or two lines with its lower and upper ends."""
    lines = answer.own
    for number in range(len(lines) - 1, max(-1, len(lines) - 1 - CANDIDATES), -1):
        if not re.match(
            r"[\"'`(\[]?(?:between|from|zwischen|von|entre|\d|~|≈|\.\d)", lines[number].text, re.IGNORECASE
        ):
            continue
        amount = read_amount(lines[number].text, answer.form)
        if isinstance(amount, Amount) and amount.low is not None and _ALONE.fullmatch(amount.rest):
            return None if answer.cut and _is_revised(answer, amount, number, lines) else amount
        if isinstance(amount, Unreadable) and number == len(lines) - 1 and answer.form is AnswerForm.INTERVAL:
            return amount
    return None if answer.cut else _bounds(answer)


def _bounds(answer: Answer) -> Amount | Unreadable | None:
    ends: dict[str, str] = {}
    for line in answer.own[-CANDIDATES:]:
        end = re.fullmatch(
            r"(lower|low|minimum|upper|high|maximum)(?: bound| end| limit| estimate)?\s?[:="
            r"|–-]\s?([\d.,]{1,8}\s?%?)\.?",
            line.text,
            re.IGNORECASE,
        )
        if end:
            ends["low" if end[1].lower() in ("lower", "low", "minimum") else "high"] = end[2]
    if len(ends) < 2 or answer.form is not AnswerForm.INTERVAL:
        return None
    return read_amount(f"between {ends['low']} and {ends['high']}", answer.form)


@parser(rung=50)
def number_line(answer: Answer) -> Amount | Unreadable | None:
    """A number alone on the last line, or on the first with the reasons after it: `64%`."""
    lines = answer.own
    for number in (len(lines) - 1, 0):
        text = lines[number].text if lines else ""
        if not re.match(
            r"[\"'`(\[~≈+<>]*(?:(?:about|around|approximately|roughly)\s)?[~+−–-]?[\d.]", text, re.IGNORECASE
        ):
            continue
        amount = read_amount(text, answer.form)
        if isinstance(amount, Unreadable) and len(lines) == 1:
            return amount
        if not isinstance(amount, Amount) or not _ALONE.fullmatch(amount.rest):
            continue
        beside = [
            read_amount(line.text, answer.form)
            for line in (*lines[max(0, number - 1) : number], *lines[number + 1 : number + 2])
        ]
        if any(isinstance(each, Amount) for each in beside):
            # A list of numbers, of which none is marked as the forecast.
            return None
        if number == 0 and len(lines) > 1 and amount.rest.strip(" .\"'`)"):
            continue
        return None if answer.cut and _is_revised(answer, amount, number, lines) else amount
    return None


@parser(rung=70)
def labelled_quote(answer: Answer) -> Amount | Unreadable | None:
    """A labelled line in a fence, a block quote or quotation marks, where it is all there is and nothing says it is quoted."""
    around = "\n".join(_without_quotations(line.text) for line in answer.own)
    if answer.cut or answer.form is AnswerForm.JSON or _SAYS_QUOTED.search(around[-20_000:]):
        return None
    for _, label, value in _labelled_values(answer, answer.lines, quoted=True):
        if label.plain and label.first and label.stated and isinstance(value, Amount):
            return value
    if len(answer.lines) == 1 and _BEGINS_WITH_A_NUMBER.match(answer.lines[0].text):
        amount = read_amount(answer.lines[0].text, answer.form)
        if isinstance(amount, Amount) and _ALONE.fullmatch(amount.rest):
            return amount
    return None


def _without_quotations(text: str) -> str:
    return re.sub(r'"[^"]{0,500}"|`[^`]{0,500}`', " ", text)


def labelled_thought(answer: Answer) -> Amount | Unreadable | None:
    """The last labelled line of thoughts, unless they go on to change it. No rung: read only where nothing was said."""
    lines = answer.own
    for number, label, value in _labelled_values(answer, lines):
        if label.plain and label.first and label.stated:
            return None if isinstance(value, Amount) and _is_revised(answer, value, number, lines) else value
    return None
