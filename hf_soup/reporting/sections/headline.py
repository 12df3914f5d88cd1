"""The result in one sentence, and what must be known before a number is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.page import capital
from hf_soup.scoring.comparing import CROWD
from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.shown_numbers import counted


def headline(found: Findings) -> str:
    """Returns one sentence: the Brier score of the primary aggregate with n and interval, against 50 % and against humans.

    What is not decided is called that, with the difference that would have been found.
    """
    scores = found.primary
    if not scores.n:
        forecasts = int((~np.isnan(found.aggregate)).sum())
        return (
            f"No question is resolved yet, so nothing is scored: this page shows what the {found.who()} says about "
            f"{counted(forecasts, 'question')}."
        )
    if scores.n == 1:
        return (
            f"On the one resolved question the {found.who()} scored {number(scores.brier)} (Brier score, lower is better; always "
            "50 % scores .2500), and one question tells nothing about how good it is, so nothing was tested."
        )
    interval = (
        ""
        if scores.interval is None
        else f", 95 % interval {number(scores.interval[0])} to {number(scores.interval[1])}"
    )
    sentence = (
        f"On {counted(scores.n, 'resolved question')} the {found.who()} scored {number(scores.brier)} (Brier score, 0 is perfect"
        f"{interval})"
    )
    others = [("always 50 %", "always saying 50 %"), (CROWD, "the human crowd")]
    compared = [(pair, words) for name, words in others if (pair := found.against(name)) is not None]
    open_ones = [(c, words) for c, words in compared if c.test is not None and c.better is None]
    if len(open_ones) == 2 and all(c.n == scores.n for c, _ in open_ones):
        clauses = [_undecided(open_ones)]
    else:
        clauses = [_clause(c, scores.n, words) for c, words in compared]
    return f"{'; '.join([sentence, *clauses])}."


def cautions(found: Findings) -> tuple[str, ...]:
    """Returns the sentences that stand above everything else: back-tests, open questions, few questions, a crowd that was shown."""
    said = [each[:1].upper() + each[1:] for each in found.scoring.warnings]
    if found.n_scored > 1:
        said += [capital(each, found.primary.name) for each in found.comparing.warnings]
    if found.run is not None and found.run.back_tests:
        answers = sum(len(each.questions) for each in found.run.back_tests)
        said.insert(
            0,
            f"{counted(answers, 'answer is a back-test', 'answers are back-tests')} and no forecast: the model may have known how it "
            "ended. The reasons stand below.",
        )
    if found.run is not None and found.run.below_quorum:
        said.append(
            f"Of {counted(len(found.run.below_quorum), 'question')} less than {100 * found.run.quorum:g} % of the answers came."
        )
    if isinstance(found.blend, str):
        said.append(found.blend)
    return tuple(dict.fromkeys(said))


def _clause(compared: Comparison, n: int, other: str) -> str:
    if not compared.n:
        return f"it is not compared with {other}: {compared.no_test}"
    on = "" if compared.n == n else f" on the {counted(compared.n, 'question')} that both answered"
    there = "" if compared.n == n else f", itself {number(compared.first_mean)}"
    mean = f"{number(compared.second_mean)}{there}"
    if compared.test is None:
        return f"it is not tested against {other} ({mean}): {compared.no_test}"
    if compared.better is not None:
        word = "better" if compared.better == compared.first else "worse"
        return (
            f"it is {word} than {other} ({mean}) by {number(abs(compared.difference))}{on} (a true difference of "
            f"{number(compared.detectable)} would have been found with 80 % power)"
        )
    return (
        f"whether it is better or worse than {other} ({mean}) is not decided{on}: only a true difference of "
        f"{number(compared.detectable)} or more would have been found with 80 % power"
    )


def _undecided(open_ones: Sequence[tuple[Comparison, str]]) -> str:
    against = " or than ".join(f"{words} ({number(c.second_mean)})" for c, words in open_ones)
    differences = " and ".join(number(c.detectable) for c, _ in open_ones)
    return (
        f"whether it is better or worse than {against} is not decided: only true differences of {differences} or more would have been "
        "found with 80 % power"
    )
