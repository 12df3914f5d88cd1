"""Tests of the primary aggregate against 50 %, the crowd and every member, with what they could have found."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words, member_name
from hf_soup.reporting.page import Grid, Prose, Section, capital, one_line
from hf_soup.reporting.sections.cells import difference, p, score, signed_interval
from hf_soup.scoring.comparing import CROWD
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
    made = found.comparing.comparisons
    if all(each.test is None for each in made):
        reason = " ".join(dict.fromkeys(f"{each.name}: {each.no_test}." for each in made[:2]))
        return Section(
            "comparisons", title, (Prose(f"Nothing was tested. {capital(one_line(reason, 400), found.primary.name)}"),)
        )
    grid = Grid(
        f"The {aggregator_words(found.primary.name)} against others; a negative difference is in its favour",
        _HEADER,
        tuple(map(_row, made)),
        words=2,
    )
    said = [
        capital(comparison_sentence(each), found.primary.name, each.second)
        for each in made
        if each.second in ("always 50 %", CROWD) and each.n
    ]
    explained = (
        f"{found.comparing.family.sentences()} Each row is about the questions that both answered, so that leaving out the hard "
        "ones gains nothing. “Detectable” is the smallest true difference that so many questions find with 80 % power; “not decided” "
        "means that these data do not tell, not that the two are alike."
    )
    return Section("comparisons", title, (*map(Prose, said), grid, Prose(explained)))


def _row(compared: Comparison) -> tuple[str, ...]:
    return (
        member_name(compared.second),
        _verdict(compared),
        f"{compared.n:,}",
        score(compared.first_mean),
        score(compared.second_mean),
        difference(compared.difference),
        signed_interval(compared.interval),
        p(compared.test.p if compared.test else None),
        p(compared.adjusted_p),
        score(compared.detectable),
    )


def _verdict(compared: Comparison) -> str:
    if compared.test is None:
        return "not tested"
    if compared.better is None:
        return "not decided"
    return "aggregate better" if compared.better == compared.first else "other better"
