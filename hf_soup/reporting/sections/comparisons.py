"""Tests of the primary aggregate against 50 %, the crowd and every member, and of members, with what they could have found."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words, member_name
from hf_soup.reporting.page import Grid, Prose, Section, capital, one_line
from hf_soup.reporting.sections.cells import difference, p, score, signed_interval
from hf_soup.scoring.comparing import CROWD
from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.comparison_sentence import WILCOXON, comparison_sentence

_TESTED = ("difference", "95 % interval", "p", "p adjusted", "detectable", "symmetry (Wilcoxon)")
_HEADER = ("against", "verdict", "n", "aggregate", "other", *_TESTED)
_PAIRS = ("models", "verdict", "n", "first", "second", "aggregate", *_TESTED)


def comparisons(found: Findings) -> Section:
    """Returns the tables of comparisons, how p was adjusted, and those with 50 % and the crowd in words."""
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
        tuple(_row(each) for each in made if each.first == found.primary.name),
        words=2,
    )
    of_members = [each for each in made if each.first != found.primary.name]
    pairs = Grid("Every two models, first − second", _PAIRS, tuple(map(_pair, of_members)), words=2, long=True)
    said = [
        capital(comparison_sentence(each), found.primary.name, each.second)
        for each in made
        if each.second in ("always 50 %", CROWD) and each.n
    ]
    explained = (
        f"{found.comparing.family.sentences()} Each row is about the questions that both answered, so that leaving out the hard "
        "ones gains nothing. “Detectable” is the smallest true difference that so many questions find with 80 % power; “not decided” "
        "means that these data do not tell, not that the two are alike. "
        f"{WILCOXON}"
    )
    grids = [grid, *([pairs] if of_members else [])]
    return Section("comparisons", title, (*map(Prose, said), *grids, Prose(explained)))


def _row(compared: Comparison) -> tuple[str, ...]:
    return (
        member_name(compared.second),
        _verdict(compared),
        f"{compared.n:,}",
        score(compared.first_mean),
        score(compared.second_mean),
        *_tested(compared),
    )


def _pair(compared: Comparison) -> tuple[str, ...]:
    """Two members, and the aggregate on the same questions, so that leaving out hard ones does not look like skill."""
    verdicts = {None: "not decided", compared.first: "first better", compared.second: "second better"}
    return (
        f"{member_name(compared.first)} against {member_name(compared.second)}",
        "not tested" if compared.test is None else verdicts[compared.better],
        f"{compared.n:,}",
        score(compared.first_mean),
        score(compared.second_mean),
        score(compared.beside[0].mean),
        *_tested(compared),
    )


def _tested(compared: Comparison) -> tuple[str, ...]:
    return (
        difference(compared.difference),
        signed_interval(compared.interval),
        p(compared.test.p if compared.test else None),
        p(compared.adjusted_p),
        score(compared.detectable),
        p(compared.symmetry.p if compared.symmetry else None),
    )


def _verdict(compared: Comparison) -> str:
    if compared.test is None:
        return "not tested"
    if compared.better is None:
        return "not decided"
    return "aggregate better" if compared.better == compared.first else "other better"
