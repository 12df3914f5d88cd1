"""Reads the probability from an answer, or says why there is none.

The ladder, from the first rung that is tried to the last. A rung ends the search with a number, or because what stands in
its place is not one to be sure of (`unparsed`: asking again costs little, a hundredfold error much). The name of the parser
stands with every number.

| parser | reads | forms |
|---|---|---|
| `json_object` | field `probability` of the last object | JSON; others where the answer is an object |
| `json_fragment` | the only `"probability": …,` of a broken object | JSON |
| `labelled_line` | last line with a label: `Probability: 64.00%`, "my final estimate is 64%", a box, a translated label | all |
| `range_line` | last line that is a range only: `Between 34% and 46%`; `Lower bound: …` with `Upper bound: …` | all |
| `number_line` | a number alone on the last line, or on the first | all |
| `closing_sentence` | the last sentence with a number, if it states the model's own: "I put this at 64%." | all |
| `labelled_quote` | a labelled line in a fence or quotation marks, if nothing else is there and nothing calls it quoted | all |
| `reasoning_line` | last labelled line of the reasoning, where the content is blank | all |

Scales: a number with a sign or the word is a percentage, whatever was asked for; one without is on the scale that was asked
for, except that a number between 0 and 1 where a percentage was asked for is a fraction with the flag `bare_fraction`, unless
the text contradicts that.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hf_soup.forecasting.parsers.amounts import Amount, Unreadable
from hf_soup.forecasting.parsers.answer_lines import Answer, read_answer_lines
from hf_soup.forecasting.parsers.answer_parser import ladder
from hf_soup.forecasting.parsers.answer_text import bounded, one_turn, without_thoughts
from hf_soup.forecasting.parsers.line_parsers import labelled_thought
from hf_soup.forecasting.parsers.refusals import declines
from hf_soup.forecasting.reading import AnswerForm, Reading, Status

_SMALL = re.compile(
    r"(?:\b(?:under|below|less than|at most|within|sub)|<)[\s-]?(?:1|2|one|two|0\.\d+)\s?(?:%|percent|per cent)",
    re.IGNORECASE,
)


def read_answer(
    text: str | None, form: AnswerForm, *, finish_reason: str | None = None, reasoning: str | None = None
) -> Reading:
    """The reading of one answer. Never raises for any text; what is missing stays missing, and is never 0.5.

    `text`: the content; None or blank: nothing was said. `reasoning`: the provider's separate field, read only then.
    `finish_reason`: with "length" only a number counts that was complete and not about to be revised; with "content_filter"
    an answer without one was refused.

    Flags: `bare_fraction`, `range_for_point` (a range where a point was asked for; the midpoint), `point_for_range`,
    `quoted` (by `labelled_quote`), `from_reasoning`, `shortened` (longer than 116,000 characters: only head and tail were
    read).

    >>> read_answer("Two of three conditions hold.\\n\\nProbability: 65,5 %", AnswerForm.PERCENT).probability
    0.655
    >>> read_answer("Probability: high", AnswerForm.PERCENT).status
    <Status.UNPARSED: 'unparsed'>
    """
    kept, shortened = bounded(text or "")
    said, thoughts = without_thoughts(kept)
    cut = finish_reason in ("length", "content_filter")
    answer = read_answer_lines(one_turn(said), form, cut=cut)
    if answer.lines:
        reading = _read(answer, finish_reason)
    else:
        reading = _read_thoughts(reasoning or thoughts or "", form, finish_reason)
    return replace(reading, flags=(*reading.flags, "shortened")) if shortened else reading


def _read(answer: Answer, finish_reason: str | None) -> Reading:
    unreadable = None
    for parser in ladder():
        found = parser.parse(answer)
        if isinstance(found, Amount) and found.bare and _is_contradicted(found, answer.text):
            found = Unreadable("the text contradicts a fraction, and there is no percent sign")
        if isinstance(found, Amount):
            flags = ("quoted",) if parser.name == "labelled_quote" else ()
            return _answered(found, answer.form, parser.name, flags)
        if found is not None:
            unreadable = found
            break
    if unreadable is None or not unreadable.is_number:
        if finish_reason == "content_filter":
            return Reading(Status.REFUSED, reason="the provider's filter ended the answer")
        if declines(answer.text):
            return Reading(Status.REFUSED, reason="the model declined")
    if finish_reason == "length":
        return Reading(Status.CUT_OFF, reason="the answer reached its token limit before a complete forecast")
    return Reading(Status.UNPARSED, reason=unreadable.reason if unreadable else "no forecast was found")


def _read_thoughts(thoughts: str, form: AnswerForm, finish_reason: str | None) -> Reading:
    if finish_reason == "content_filter":
        return Reading(Status.REFUSED, reason="the provider's filter withheld the answer")
    if finish_reason == "length":
        return Reading(Status.CUT_OFF, reason="the token limit was reached before anything was said")
    kept, shortened = bounded(thoughts)
    found = labelled_thought(read_answer_lines(one_turn(kept), form, cut=False))
    if not isinstance(found, Amount):
        return Reading(Status.EMPTY, reason="the answer is blank")
    return _answered(
        found, form, "reasoning_line", ("from_reasoning", "shortened") if shortened else ("from_reasoning",)
    )


def _answered(amount: Amount, form: AnswerForm, parser: str, flags: tuple[str, ...]) -> Reading:
    is_range, range_asked = amount.low is not None, form is AnswerForm.INTERVAL
    if is_range != range_asked:
        flags = ("range_for_point" if is_range else "point_for_range", *flags)
    if amount.bare:
        flags = ("bare_fraction", *flags)
    return Reading(Status.ANSWERED, amount.probability, amount.low, amount.high, parser, flags)


def _is_contradicted(amount: Amount, text: str) -> bool:
    """Whether the text names the same digits, or a bound far below, as a percentage."""
    digits = f"{amount.probability:.10f}".rstrip("0").removeprefix("0")
    same = re.search(rf"(?<![\d.,])0?{re.escape(digits)}0*\s?(?:%|percent|per cent)", text)
    return bool(same) or (amount.probability > 0.02 and _SMALL.search(text) is not None)
