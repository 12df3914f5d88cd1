"""How every number of the page was made."""

from __future__ import annotations

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import aggregator_words
from hf_soup.reporting.page import Points, Prose, Section, capital
from hf_soup.scoring.aggregators import aggregator_named
from hf_soup.scoring.blending import Blending
from hf_soup.scoring.bootstrap import RESAMPLES, SEED
from hf_soup.scoring.shown_numbers import counted


def methods(found: Findings) -> Section:
    """Returns aggregators with their clips, scores, intervals, tests and calibration, in plain words."""
    from hf_soup import __version__

    aggregates = found.scoring.aggregates
    scores = found.scoring.scores
    said = [
        "Brier score: the mean of (forecast − outcome)² over questions, outcome 1 for yes and 0 for no.",
        f"Brier index: 100 · (1 − √Brier). Log score: −ln of the probability of what happened, forecasts kept between {scores.clip:g} "
        f"and {1 - scores.clip:g}. AUC: how often a question that ended yes got more than one that ended no.",
        f"Calibration: Σ n (mean forecast − share of yes)² / n over {scores.bins} bins of equal width; “by chance” is what it would be on "
        "average if every forecast were the true probability. ECE: the same with absolute differences.",
        f"Intervals: {RESAMPLES:,} bootstrap samples of questions (of groups, where questions belong together), seed {SEED}.",
        "Comparisons: paired t tests of the differences of Brier scores on the questions that both answered, errors clustered by "
        "group; p adjusted by Benjamini and Hochberg's method. Detectable: (t.975 + t.80) × standard error.",
        "A model's answers to one question are averaged before anything else, except for the pooled median.",
        "Missing answers are left out and counted; annulled questions are left out and counted.",
        *(
            f"{capital(f'{aggregator_words(each.description)}:', aggregator_words(name))} {_lower(aggregator_named(name).summary)}"
            for name, each in aggregates.found.items()
        ),
        *(
            f"{capital(f'{aggregator_words(name)} is left out: it {reason}.', aggregator_words(name))}"
            for name, reason in aggregates.left_out.items()
        ),
    ]
    if isinstance(found.blend, Blending):
        blend = found.blend.blend
        said.append(
            f"Blend: {blend.how}; log odds of forecasts kept between {blend.clip:g} and {1 - blend.clip:g}, which moved {blend.clipped}; "
            f"{counted(blend.left_out, 'question')} with only one of the two left out."
        )
        if blend.unchecked:
            said.append(
                f"Of {counted(blend.unchecked, 'blended question')} it is not known when the crowd's forecast or a model's was made, so the "
                "crowd may have known more."
            )
    if found.run is not None and found.run.parsers:
        read = ", ".join(f"{name} {count:,}" for name, count in found.run.parsers.items())
        said.append(f"Numbers were read from the answers by: {read}.")
        if found.run.flags:
            doubts = ", ".join(f"{name} {count:,}" for name, count in found.run.flags.items())
            said.append(f"Doubts about what was read: {doubts}.")
    return Section(
        "methods", "How the numbers were made", (Points(tuple(said)), Prose(f"Made with hf-soup {__version__}."))
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
