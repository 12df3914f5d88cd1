"""A comparison in words. What the data do not decide is called undecided, never the absence of a difference."""

from __future__ import annotations

from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.equivalence import ALPHA, Equivalence
from hf_soup.scoring.scores import SCORES


def comparison_sentence(comparison: Comparison, adjusted: float | None = None) -> str:
    """Returns the verdict with n, interval, test and the smallest difference that could have been found.

    It says that one is better only with p < .05, also after adjustment where several comparisons were made (`adjusted`: this
    one's p then), and "within" bounds only where TOST showed it.
    """
    c = comparison
    title = SCORES[c.score].title
    means = f"{c.first} {number(c.first_mean)}, {c.second} {number(c.second_mean)}"
    on = f"on {c.n} question{'s' if c.n != 1 else ''}" + (f" in {c.groups} groups" if c.groups != c.n else "")
    if c.n == 0:
        return f"{title}, {c.name}: {c.no_test}."
    if c.test is None:
        return f"{title} {on}: {means}, difference {signed(c.difference)}; {c.no_test}."
    low, high = c.interval or (float("nan"), float("nan"))
    sentences = [
        f"{title} {on}: {means}, difference {signed(c.difference)} (95 % interval {signed(low)} to {signed(high)}; "
        f"paired t({c.test.df:g}) = {c.test.t:.2f}, p {p_value(c.test.p)})."
    ]
    if c.better is not None and adjusted is not None and adjusted >= ALPHA:
        sentences.append(
            f"By itself this would say that {c.better} is better; adjusted for all comparisons p {p_value(adjusted)}, so that "
            "together they do not decide it."
        )
    elif c.better is not None:
        sentences.append(f"{c.better} scored better on these questions than chance explains.")
    else:
        sentences.append(
            "These data do not decide which is better, and that is no evidence that neither is: "
            f"only a true difference of {number(c.detectable)} or more would have been found with 80 % power."
        )
    if c.better is not None:
        sentences.append(f"The smallest difference that n = {c.n} finds with 80 % power is {number(c.detectable)}.")
    if c.equivalence is not None:
        sentences.append(equivalence_sentence(c.equivalence))
    if c.only_first or c.only_second or c.neither:
        sentences.append(_left_out(c))
    return " ".join(sentences)


def equivalence_sentence(tests: Equivalence) -> str:
    """Returns what TOST showed, with bound, interval and both tests."""
    numbers = (
        f"(bound {tests.stated}; 90 % interval {signed(tests.low)} to {signed(tests.high)}; TOST t({tests.df:g}) = "
        f"{tests.lower_t:.2f}, p {p_value(tests.lower_p)} and {tests.upper_t:.2f}, p {p_value(tests.upper_p)})"
    )
    if tests.shown:
        return f"The difference was shown to lie within ±{number(tests.bound)} {numbers}."
    words = f"The difference was not shown to lie within ±{number(tests.bound)} {numbers}"
    if tests.withheld and tests.p < tests.alpha:
        return f"{words}: the tests pass, but {tests.withheld}, too few to conclude it from."
    if tests.p < tests.alpha:
        return f"{words}: the tests pass, but not once the skewness of the differences is removed (p {p_value(tests.p_without_skewness)})."
    return f"{words}."


def number(value: float | None) -> str:
    """Four digits after the point without the leading 0 of scores below 1, as the paper prints them."""
    if value is None or value != value:
        return "unknown"
    return f"{value:.4f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def signed(value: float) -> str:
    """As `number`, with its sign.

    >>> signed(-0.05), signed(0.0078)
    ('−.0500', '+.0078')
    """
    return ("−" if value < 0 else "+") + number(abs(value))


def p_value(p: float) -> str:
    """`= .027`, `< .001`.

    >>> p_value(0.02734), p_value(0.00001)
    ('= .027', '< .001')
    """
    if p < 0.001:
        return "< .001"
    return f"= {p:.3f}".replace("0.", ".", 1)


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
    words = f"{left_out} resolved questions are left out for want of an answer ({', '.join(parts)})"
    shown = ", ".join(f"{each.name} {number(each.mean)}" for each in c.beside)
    return f"{words}; on the questions compared: {shown}." if shown else f"{words}."
