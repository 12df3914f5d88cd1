"""A comparison in words. What the data do not decide is called undecided, never the absence of a difference."""

from __future__ import annotations

from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.equivalence import Equivalence
from hf_soup.scoring.scores import SCORES

WILCOXON = (
    "Wilcoxon's signed-rank test asks whether the differences lie symmetrically about 0. Differences of Brier scores are skewed also "
    "where both expect the same score, so it decides nothing here."
)


def comparison_sentence(c: Comparison) -> str:
    """Returns the verdict with n, interval, test and the smallest difference that could have been found.

    It says that one is better only with p < .05, after adjustment where several comparisons were made together, and "within" bounds
    only where TOST showed it, adjusted likewise.
    """
    title = SCORES[c.score].title
    means = f"{c.first} {number(c.first_mean)}, {c.second} {number(c.second_mean)}"
    on = f"on {c.n} question{'s' if c.n != 1 else ''}" + (
        f" in {c.groups} group{'s' if c.groups != 1 else ''}" if c.groups != c.n else ""
    )
    if c.n == 0:
        return f"{title}, {c.name}: {c.no_test}."
    if c.test is None:
        untested = f"{title} {on}: {means}, difference {signed(c.difference)}; {c.no_test}."
        return " ".join([untested, *_beside(c)])
    low, high = c.interval or (float("nan"), float("nan"))
    adjusted = "" if c.adjusted_p is None else f", adjusted p {p_value(c.adjusted_p)}"
    sentences = [
        f"{title} {on}: {means}, difference {signed(c.difference)} (95 % interval {signed(low)} to {signed(high)}; "
        f"paired t({c.test.df:g}) = {t_value(c.test.t)}, p {p_value(c.test.p)}{adjusted})."
    ]
    if c.better is not None:
        sentences.append(f"On these questions {c.better} scored better than chance explains.")
        sentences.append(f"The smallest difference that n = {c.n} finds with 80 % power is {number(c.detectable)}.")
    elif c.better_by_itself is not None:
        sentences.append(
            f"By itself this would say that {c.better_by_itself} is better; with all tests and looks counted it is not decided. "
            f"The smallest difference that n = {c.n} finds with 80 % power is {number(c.detectable)}."
        )
    else:
        sentences.append(
            "These data do not decide which is better, and that is no evidence that neither is: "
            f"only a true difference of {number(c.detectable)} or more would have been found with 80 % power."
        )
    if c.equivalence is not None:
        sentences.append(equivalence_sentence(c.equivalence))
    if c.only_first or c.only_second or c.neither:
        sentences.append(_left_out(c))
    return " ".join([*sentences, *_beside(c)])


def equivalence_sentence(tests: Equivalence) -> str:
    """Returns what TOST showed, with bound, interval, both tests and the adjusted p where there is one."""
    adjusted = ""
    if tests.adjusted_p is not None:
        skewed = tests.p_without_skewness > tests.p
        adjusted = f", with the skewness removed p {p_value(tests.p_without_skewness)}" if skewed else ""
        adjusted += f"; adjusted p {p_value(tests.adjusted_p)}"
    numbers = (
        f"(bound {tests.stated}; 90 % interval {signed(tests.low)} to {signed(tests.high)}; TOST t({tests.df:g}) = "
        f"{t_value(tests.lower_t)}, p {p_value(tests.lower_p)} and {t_value(tests.upper_t)}, p {p_value(tests.upper_p)}{adjusted})"
    )
    if tests.shown:
        return f"The difference was shown to lie within ±{number(tests.bound)} {numbers}."
    words = f"The difference was not shown to lie within ±{number(tests.bound)} {numbers}"
    if tests.p >= tests.alpha:
        return f"{words}."
    if tests.withheld:
        return f"{words}: the tests pass, but {tests.withheld}, too few to conclude it from."
    if tests.p_without_skewness >= tests.alpha:
        return f"{words}: the tests pass, but not once the skewness of the differences is removed (p {p_value(tests.p_without_skewness)})."
    return f"{words}: the tests pass by themselves, but not with all equivalence tests and looks counted."


def number(value: float | None) -> str:
    """Four digits after the point without the leading 0 of scores below 1, as the paper prints them."""
    if value is None or value != value:
        return "unknown"
    value = round(value, 4) + 0.0  # no −.0000
    shown = f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
    return shown.replace("-", "−")


def signed(value: float) -> str:
    """As `number`, with its sign.

    >>> signed(-0.05), signed(0.0078), signed(-0.00001)
    ('−.0500', '+.0078', '+.0000')
    """
    return ("−" if round(value, 4) < 0 else "+") + number(abs(value))


def t_value(t: float) -> str:
    """A test statistic with two digits.

    >>> t_value(-2.324)
    '−2.32'
    """
    return f"{t:.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """`= .027`, `< .001`.

    >>> p_value(0.02734), p_value(0.00001)
    ('= .027', '< .001')
    """
    if p < 0.001:
        return "< .001"
    return f"= {p:.3f}".replace("0.", ".", 1)


def p_cell(p: float | None) -> str:
    """A p-value in a table, a dash where there was no test."""
    return "–" if p is None else p_value(p).removeprefix("= ")


def _left_out(c: Comparison) -> str:
    left_out = c.only_first + c.only_second + c.neither
    parts = [
        f"{count} answered by {who}"
        for count, who in (
            (c.only_first, f"{c.first} alone"),
            (c.only_second, f"{c.second} alone"),
            (c.neither, "neither"),
        )
        if count
    ]
    if left_out == 1:
        return f"1 resolved question is left out for want of an answer ({parts[0]})."
    return f"{left_out} resolved questions are left out for want of an answer ({', '.join(parts)})."


def _beside(c: Comparison) -> list[str]:
    """What others scored on the questions compared, so that refusing hard ones does not look like skill."""
    if not c.beside:
        return []
    shown = ", ".join(
        f"{each.name} {number(each.mean)}" + (f" (n = {each.n})" if each.n != c.n else "") for each in c.beside
    )
    return [f"On the questions compared: {shown}."]
