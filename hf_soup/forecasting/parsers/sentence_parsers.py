"""The parser that finds the forecast in prose, where no line was labelled."""

from __future__ import annotations

import re

from hf_soup.forecasting.parsers.amounts import Amount, Unreadable, read_amount
from hf_soup.forecasting.parsers.answer_lines import Answer
from hf_soup.forecasting.parsers.answer_parser import parser
from hf_soup.forecasting.parsers.labels import FOREIGN

LINES = 2
"""From the end: what stands further up is on the way to the forecast."""

NEAR = 80
"""Characters before the number among which the model must speak of itself, or conclude."""

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+(?=[\"'(A-Z])|[。！？]")
_OWN = re.compile(
    r"\b(?:i(?:'d|'m|'ll)?(?: would| will| am| have| therefore| now| finally| then| thus| personally)* (?:put|say"
    r"|estimate|assign|give|settle"
    r"|go with|land|arrive|come|came|end up|forecast|predict|think|believe|bet|peg|place|set|assess|guess|lean|stand"
    r"|call|judge"
    r"|going with|go|settled|landed|make)\b|(?:my|our) (?:\w+ ){0,3}(?:probability|estimate|forecast|guess|number"
    r"|answer|prediction|view|credence)"
    r"|(?:so|overall|thus|therefore|hence|on balance|all told|all in all|in conclusion|in sum|in total|final\w*)\b"
    r"|ich (?:schatze|sage|gehe|setze)|j'estime|je dirais|estimo|diria)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\w.,/$€£])(?:\d{1,3}(?:[.,]\d{1,4})?\s?(?:%|percent\b|per cent\b)|0?[.,]\d{1,4}(?![\w%]))", re.IGNORECASE
)
_CHANCE = re.compile(r"\s(?:chance|probability|likelihood)\b", re.IGNORECASE)
_BEFORE_BOUND = re.compile(
    r"(?:[<>≤≥]|\b(?:than|under|below|over|above|at most|at least|up to|not|no|by|of about))\s?$", re.IGNORECASE
)


@parser(rung=60)
def closing_sentence(answer: Answer) -> Amount | Unreadable | None:
    """The last sentence with a number, where it states the model's own probability and no other: "I put this at 64%."."""
    if answer.cut:
        return None
    for line in reversed(answer.own[-LINES:]):
        for sentence in reversed(_SENTENCE_ENDS.split(line.text[-2000:])):
            numbers = list(_NUMBER.finditer(sentence))
            if numbers:
                return _stated(sentence, numbers, answer)
    return None


def _stated(sentence: str, numbers: list[re.Match[str]], answer: Answer) -> Amount | None:
    start = numbers[0].start()
    before = sentence[:start]
    own = list(_OWN.finditer(before, max(0, start - NEAR)))
    if not own or FOREIGN.search(sentence) or '"' in sentence or _BEFORE_BOUND.search(before):
        return None
    if _CHANCE.match(sentence, numbers[-1].end()):
        amount = read_amount(sentence[start:], answer.form)
    else:
        # "I put this at 64%", but not "I put the growth at 3%": between the two stand only words that name nothing else.
        amount = read_amount(sentence[own[-1].end() :], answer.form)
    if not isinstance(amount, Amount) or len(numbers) > (1 if amount.low is None else 2):
        return None
    return amount
