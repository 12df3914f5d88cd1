"""The last line that each form of answer asks for, in the words that go to the model."""

from __future__ import annotations

from collections.abc import Mapping

from hf_soup.forecasting.reading import AnswerForm

_LINES: Mapping[AnswerForm, tuple[str, str]] = {
    AnswerForm.PERCENT: ("Probability: ZZ.ZZ%", "where ZZ.ZZ is a number from 0 to 100 with up to two decimals"),
    AnswerForm.FRACTION: ("Probability: 0.ZZZZ", "a number from 0 to 1 with up to four decimals"),
    AnswerForm.INTERVAL: (
        "My Prediction: Between XX.XX% and YY.YY%",
        "where XX.XX and YY.YY are numbers from 0 to 100 with up to two decimals, the lower one first",
    ),
    AnswerForm.JSON: ('{"probability": 0.ZZZZ}', "a JSON object whose probability is a number from 0 to 1"),
}


def answer_line(form: AnswerForm) -> str:
    """Returns the sentences that say how an answer has to end: the field `answer_line` of a prompt."""
    line, meaning = _LINES[form]
    return f"End your answer with one line of exactly this form, {meaning}:\n\n{line}"


def re_ask(form: AnswerForm) -> str:
    """Returns the message that asks once more, for the last line alone, after an answer in which none could be read."""
    line, meaning = _LINES[form]
    return (
        "No forecast could be read from your answer. Give your best estimate for what you were asked before, even if you are very unsure. "
        f"Reply with one line of exactly this form and nothing else, {meaning}:\n\n{line}"
    )
