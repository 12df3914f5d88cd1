"""Tests of the primary aggregate against 50 %, the crowd and every member, with what they could have found."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words, member_name
from hf_soup.reporting.page import Grid, Prose, Section, one_line
from hf_soup.reporting.sections.cells import difference, p, score, signed_interval
from hf_soup.scoring.comparing import CROWD, holds
from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.comparison_sentence import comparison_sentence

_HEADER = (
    "against",
    "verdict",
    "n",
    "aggregate",
    "other",
    "difference",
    "95 % interval",
    "p",
    "p adjusted",
    "detectable",
)


def comparisons(found: Findings) -> Section:
    """Returns the table of comparisons, how p was adjusted, and those with 50 % and the crowd in words."""
    title = "Comparisons"
    if found.n_scored == 0:
        return Section("comparisons", title, (Prose("No question is resolved, so nothing can be compared yet."),))
    pairs = list(zip(found.comparing.comparisons, found.comparing.adjusted.adjusted, strict=True))
    if all(each.test is None for each, _ in pairs):
        reason = " ".join(dict.fromkeys(f"{each.name}: {each.no_test}." for each, _ in pairs[:2]))
        return Section("comparisons", title, (Prose(f"Nothing was tested. {one_line(reason, 400)}"),))
    grid = Grid(
        f"The {aggregator_words(found.primary.name)} against others; a negative difference is in its favour",
        _HEADER,
        tuple(_row(each, adjusted) for each, adjusted in pairs),
        words=2,
    )
    said = [
        comparison_sentence(each, adjusted)
        for each, adjusted in pairs
        if each.second in ("always 50 %", CROWD) and each.n
    ]
    explained = (
        f"{found.comparing.adjusted.sentence()} Each row is about the questions that both answered, so that leaving out the hard "
        "ones gains nothing. “Detectable” is the smallest true difference that so many questions find with 80 % power; “not decided” "
        "means that these data do not tell, not that the two are alike."
    )
    return Section("comparisons", title, (*map(Prose, said), grid, Prose(explained)))


def _row(compared: Comparison, adjusted: float | None) -> tuple[str, ...]:
    return (
        member_name(compared.second),
        _verdict(compared, adjusted),
        f"{compared.n:,}",
        score(compared.first_mean),
        score(compared.second_mean),
        difference(compared.difference),
        signed_interval(compared.interval),
        p(compared.test.p if compared.test else None),
        p(adjusted),
        score(compared.detectable),
    )


def _verdict(compared: Comparison, adjusted: float | None) -> str:
    if compared.test is None:
        return "not tested"
    if not holds(compared, adjusted):
        return "not decided"
    return "aggregate better" if compared.better == compared.first else "other better"
