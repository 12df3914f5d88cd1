"""From rows to the prediction of an ensemble: who is asked, who is missing, and what comes out."""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.ballots import Ballots, MemberFailed
from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.early_exit import decide_early, units_of, why_nothing_is_saved
from hf_soup.ensembles.opening import OnMissing, Voters
from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.ensembles.rows import Rows
from hf_soup.ensembles.voting import Voting
from hf_soup.errors import SoupError


def predict_rows(
    rows: Rows,
    voters: Voters,
    combination: Combination,
    voting: Voting,
    *,
    on_missing: OnMissing,
    early_exit: bool = False,
    batch_size: int | None = None,
) -> EnsemblePredictions:
    """Returns the ensemble's prediction for every row. Members whose weight is zero are not asked.

    `on_missing="reweigh"`: a member that is missing or fails is left out, with a warning, and the weights of the others are made
    to sum to 1. `early_exit`: see `decide_early`; of a row that was decided early the probabilities are those of the members that
    were asked. Raises SoupError, naming the member, otherwise; and when none is left.
    """
    members = {member.name: member for member in voters.members}
    lacking = [name for name in combination.members if name not in members]
    if lacking and on_missing == "error":
        raise SoupError(
            f"{', '.join(lacking)}: is not among the members that were opened; say on_missing='reweigh' to do without."
        )
    warnings = [without(name, voters.missing.get(name, "not given")) for name in lacking]
    missing = [*lacking]
    present = {name for name in combination.members if name in members} - _without_weight(combination)
    asked = [members[name] for name in combination.members if name in present]
    ballots = Ballots(asked, rows, voting, on_missing=on_missing, batch_size=batch_size)
    try:
        while True:
            if not present:
                raise SoupError(f"No member of the ensemble is left to ask. {' '.join(warnings)}")
            try:
                probabilities, said = _vote(
                    combination.reweighed(present) if present != set(combination.members) else combination,
                    ballots,
                    early_exit,
                )
                break
            except MemberFailed as failure:  # the answers of the others stay; who decided on fewer rows is asked again
                present.discard(failure.name)
                missing.append(failure.name)
                warnings.append(without(failure.name, str(failure)))
    finally:
        voting.forget_rows()
    silent = np.isnan(ballots.values[:, :, 0]) & ballots.asked
    missing += [ballots.names[place] for place in np.flatnonzero(silent.any(axis=1))]
    return EnsemblePredictions(
        ids=rows.ids,
        classes=voting.classes,
        probabilities=probabilities,
        member_names=ballots.names,
        members=ballots.values,
        passes=ballots.asked.sum(axis=0),
        left_out=rows.left_out,
        warnings=(*warnings, *ballots.warnings, *said, *(f"Left out: {row}." for row in rows.left_out)),
        missing=tuple(dict.fromkeys(missing)),
    )


def _vote(combination: Combination, ballots: Ballots, early_exit: bool) -> tuple[np.ndarray, list[str]]:
    units = units_of(combination) if early_exit else None
    if units is None:
        for name in combination.members:
            ballots.ask(name)
        said = f"No early exit: with {combination.method} the last member can change any decision, so all were asked."
        return combination.combine(ballots.of(combination.members)), [said] if early_exit else []
    sums, still_open = decide_early(combination, ballots, units)
    by_all = still_open | ballots.asked_of(combination.members).all(axis=0)
    probabilities = np.empty_like(sums)
    probabilities[~by_all] = sums[~by_all] / sums[~by_all].sum(axis=1, keepdims=True)
    if by_all.any():
        probabilities[by_all] = combination.combine(ballots.of(combination.members)[:, by_all])
    why = why_nothing_is_saved(units)
    return probabilities, [why] if why else []


def _without_weight(combination: Combination) -> set[str]:
    units = units_of(combination)
    counting = {name for unit in units for name in unit.members} if units is not None else set(combination.members)
    return set(combination.members) - counting


def without(name: str, reason: str) -> str:
    """Returns the warning that a member is done without."""
    return f"The member {name} is left out, and the weights of the others are made to sum to 1: {reason}"
