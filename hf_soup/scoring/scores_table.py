"""All scores of members, aggregates and the crowd: overall, by topic, by source, with what is missing counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.bootstrap import FEW_GROUPS, bootstrap_means
from hf_soup.scoring.calibration_index import (
    BINS,
    calibration_index,
    calibration_index_by_chance,
    expected_calibration_error,
)
from hf_soup.scoring.crowd_blend import interim_notes
from hf_soup.scoring.murphy import Murphy, murphy
from hf_soup.scoring.scores import (
    LOG_CLIP,
    SCORES,
    auc,
    brier_index,
    clip_probabilities,
    peer_score_against,
    peer_scores,
)
from hf_soup.scoring.table import ForecastTable


class Kind(StrEnum):
    """What a column of forecasts is."""

    MEMBER = "member"
    AGGREGATE = "aggregate"
    CROWD = "crowd"
    BLEND = "blend"


@dataclass(frozen=True)
class ColumnScores:
    """Scores of one column on the resolved questions that it answered: `n`, and `missing` without an answer.

    `means`: mean of every score in `SCORES`, and `peer` (a member against the other members, others against all members).
    `sd`: of the Brier scores of the questions. `interval`: 95 % of the mean Brier score, None below two groups or by topic.
    `by_chance`: the calibration index that noise alone gives. `clipped`: forecasts that the logarithmic scores moved.
    Everything is NaN where n = 0, and `auc` where not both outcomes occur.
    """

    name: str
    kind: Kind
    n: int
    missing: int
    means: Mapping[str, float]
    sd: float
    interval: tuple[float, float] | None
    brier_index: float
    auc: float
    calibration_index: float
    by_chance: float
    ece: float
    murphy: Murphy
    clipped: int

    @property
    def brier(self) -> float:
        return self.means["brier"]


@dataclass(frozen=True)
class ScoreTable:
    """`resolved`, `open`, `annulled`: numbers of questions; only the first are scored. `clip`: of the logarithmic scores.

    `by_topic`, `by_source`: the same columns on the questions of each, None's under "". `warnings`: for under the table.
    """

    columns: tuple[ColumnScores, ...]
    by_topic: Mapping[str, tuple[ColumnScores, ...]]
    by_source: Mapping[str, tuple[ColumnScores, ...]]
    resolved: int
    open: int
    annulled: int
    clip: float
    bins: int
    warnings: tuple[str, ...]

    def column(self, name: str) -> ColumnScores:
        """Raises InputError with the names that there are."""
        for each in self.columns:
            if each.name == name:
                return each
        raise InputError(f"'{name}' was not scored; there are {', '.join(each.name for each in self.columns)}.")


def score_table(
    table: ForecastTable,
    aggregates: Mapping[str, np.ndarray] | None = None,
    *,
    clip: float = LOG_CLIP,
    bins: int = BINS,
) -> ScoreTable:
    """Returns the scores of every member (mean of its samples), of `aggregates` (name → [Q]) and of the crowd, if there is one.

    Open and annulled questions are left out and counted. A missing forecast is left out of its column and counted, so columns
    with different `missing` are scored on different questions: compare them with `compare`, which uses those both answered.
    Raises InputError for aggregates of another length, and where a name is used twice.
    """
    columns = _columns(table, aggregates or {})
    scored = column_scores(table, columns, clip=clip, bins=bins)
    resolved = ~np.isnan(table.outcomes)
    values = np.stack([values for _, _, values in columns], axis=1)
    names = [(name, kind) for name, kind, _ in columns]
    members = table.member_means()
    return ScoreTable(
        columns=scored,
        by_topic=_by(table.topics, names, values, members, table.outcomes, resolved, clip, bins),
        by_source=_by(table.sources, names, values, members, table.outcomes, resolved, clip, bins),
        resolved=int(resolved.sum()),
        open=table.n_open,
        annulled=int(table.annulled.sum()),
        clip=clip,
        bins=bins,
        warnings=_warnings(table, scored, clip),
    )


def column_scores(
    table: ForecastTable,
    columns: Sequence[tuple[str, Kind, np.ndarray]],
    *,
    clip: float = LOG_CLIP,
    bins: int = BINS,
) -> tuple[ColumnScores, ...]:
    """Returns the scores of columns of forecasts of the table's questions: name, kind and values, float64 [Q]."""
    values = np.stack([values for _, _, values in columns], axis=1)
    intervals = bootstrap_means(SCORES["brier"](values, table.outcomes), table.groups)
    names = [(name, kind) for name, kind, _ in columns]
    scored = _scored(names, values, table.member_means(), table.outcomes, ~np.isnan(table.outcomes), clip, bins)
    return tuple(ColumnScores(**{**vars(each), "interval": intervals.of(n)}) for n, each in enumerate(scored))


def _columns(table: ForecastTable, aggregates: Mapping[str, np.ndarray]) -> list[tuple[str, Kind, np.ndarray]]:
    members = table.member_means()
    columns = [(name, Kind.AGGREGATE, np.asarray(values)) for name, values in aggregates.items()]
    if not np.isnan(table.crowd).all():
        columns.append(("crowd", Kind.CROWD, table.crowd))
    columns += [(name, Kind.MEMBER, members[:, number]) for number, name in enumerate(table.members)]
    problems = [
        f"{name}: has shape {list(values.shape)}, there are {len(table.questions)} questions."
        for name, _, values in columns
        if values.shape != table.outcomes.shape
    ]
    names = [name for name, _, _ in columns]
    problems += [
        f"'{name}' names two columns; rename one." for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if problems:
        raise InputError(problems)
    return columns


def _scored(
    names: Sequence[tuple[str, Kind]],
    values: np.ndarray,
    members: np.ndarray,
    outcomes: np.ndarray,
    chosen: np.ndarray,
    clip: float,
    bins: int,
) -> tuple[ColumnScores, ...]:
    """The scores of all columns, `values` [Q, C], on the questions where `chosen`, bool [Q]; without intervals."""
    values, members, outcomes = values[chosen], members[chosen], outcomes[chosen]
    of_questions = {name: score(values, outcomes, clip) for name, score in SCORES.items()}
    of_members = iter(peer_scores(members, outcomes, clip).T)
    scored = []
    for number, (name, kind) in enumerate(names):
        p = values[:, number]
        answered = ~(np.isnan(p) | np.isnan(outcomes))
        peer = next(of_members) if kind is Kind.MEMBER else peer_score_against(p, members, outcomes, clip)
        means = {key: _mean(each[:, number]) for key, each in of_questions.items()} | {"peer": _mean(peer)}
        brier = of_questions["brier"][answered, number]
        scored.append(
            ColumnScores(
                name=name,
                kind=kind,
                n=int(answered.sum()),
                missing=int(np.isnan(p).sum()),
                means=means,
                sd=float(brier.std(ddof=1)) if len(brier) > 1 else float("nan"),
                interval=None,
                brier_index=brier_index(means["brier"]),
                auc=auc(p, outcomes),
                calibration_index=calibration_index(p, outcomes, bins),
                by_chance=calibration_index_by_chance(p, outcomes, bins),
                ece=expected_calibration_error(p, outcomes, bins),
                murphy=murphy(p, outcomes, bins),
                clipped=clip_probabilities(p[answered], clip)[1],
            )
        )
    return tuple(scored)


def _by(
    labels: Sequence[str | None],
    names: Sequence[tuple[str, Kind]],
    values: np.ndarray,
    members: np.ndarray,
    outcomes: np.ndarray,
    resolved: np.ndarray,
    clip: float,
    bins: int,
) -> dict[str, tuple[ColumnScores, ...]]:
    """The scores on the questions of every label; nothing where no question has one."""
    if all(label is None for label in labels):
        return {}
    written = np.array([label or "" for label in labels])
    present = sorted(set(written[resolved].tolist()))
    return {
        label: _scored(names, values, members, outcomes, resolved & (written == label), clip, bins)
        for label in present
    }


def _warnings(table: ForecastTable, scored: Sequence[ColumnScores], clip: float) -> tuple[str, ...]:
    resolved = ~np.isnan(table.outcomes)
    groups = len(np.unique(table.groups[resolved]))
    warnings = []
    if not resolved.any():
        return ("no question is resolved: there is nothing to score.",)
    if groups < FEW_GROUPS:
        warnings.append(
            f"{groups} group{'s' if groups != 1 else ''} of resolved questions: below {FEW_GROUPS} intervals are rough."
        )
    warnings += interim_notes(table)
    if annulled := int(table.annulled.sum()):
        warnings.append(f"{annulled} annulled question{'s are' if annulled != 1 else ' is'} left out.")
    if any(each.missing for each in scored):
        warnings.append(
            "columns with missing forecasts are scored on other questions than those without; compare them in pairs."
        )
    if clipped := sum(each.clipped for each in scored):
        warnings.append(
            f"logarithmic scores counted {clipped} forecasts outside {clip:g} to {1 - clip:g} as these bounds; 0 and 1 would be infinite."
        )
    return tuple(warnings)


def _mean(values: np.ndarray) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
