"""Selection and evidence of one greedy soup: evaluators for every data set, around one model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hf_soup.errors import InputError
from hf_soup.evaluation import Evaluator, HeldOut
from hf_soup.merging import Ingredients
from hf_soup.merging.materialize import materialized
from hf_soup.progress import say
from hf_soup.selection import Evidence, Selection, select_greedy
from hf_soup.selection.gather import Contenders, Judged, gather_evidence
from hf_soup.selection.select import Candidate, candidate

Data = HeldOut | str | Path
DataSets = list[tuple[str, Any, HeldOut]]
"""Name, role and data; the held-out ones come first."""


def choose_greedily(
    ingredients: Ingredients,
    sets: DataSets,
    plan_of: Candidate,
    *,
    strict: bool = False,
    order: Literal["score", "random"] = "score",
    seed: int = 0,
    device: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[Selection, Evidence]:
    """Returns the path of the greedy soup and the table of all contenders on all `sets`, see `checked_data`."""
    held_out = sets[0][2]
    first = Evaluator(held_out, device=device, trust_remote_code=trust_remote_code, materialize=materialized)
    judged = [Judged(name, role, first if data is held_out else first.on(data)) for name, role, data in sets]
    everything = plan_of(tuple(range(len(ingredients.models))))
    for _, _, data in sets:  # a base lends its config to the soups, label names included
        data.label_map(everything.output_config(), f"the soup (config of {everything.donor_checkpoint.label})")
    rows = sum(max(1, data.rows) for _, _, data in sets) / max(1, held_out.rows)
    selection = select_greedy(
        ingredients,
        first,
        plan_of,
        strict=strict,
        order=order,
        seed=seed,
        announce=say,
        further_evaluations=(rows - 1) * (len(ingredients.models) + 2) + 1,
    )
    singles = [candidate(plan_of((index,)), model) for index, model in enumerate(ingredients.models)]
    chosen = selection.path.chosen
    greedy = singles[chosen[0]] if len(chosen) == 1 else plan_of(chosen).virtual()
    names = [str(model.ref.name if model.ref is not None else model.label) for model in ingredients.models]
    contenders = Contenders(names, singles, everything.virtual(), greedy, selection.path)
    return selection, gather_evidence(contenders, judged, held_out.maximise)


def checked_data(
    ingredients: Ingredients, held_out: HeldOut, test: Data | None = None, shifts: Mapping[str, Data] | None = None
) -> DataSets:
    """Reads all data sets and checks all label maps; needs no weights. Raises InputError with all problems of a kind."""
    sets = _data_sets(held_out, test, shifts or {})
    _check_labels(ingredients, sets)
    seen = set(held_out.ids)
    for name, _, data in sets[1:]:
        if shared := sum(row in seen for row in data.ids):
            say(f"Warning: {shared} of {data.rows} rows of '{name}' are held-out rows too; the choice has seen them.")
    return sets


def _data_sets(held_out: HeldOut, test: Data | None, shifts: Mapping[str, Data]) -> DataSets:
    sets: DataSets = [("held-out", "held-out", held_out)]
    wanted = ([("test", "test", test)] if test is not None else []) + [(n, "shift", d) for n, d in shifts.items()]
    problems = []
    for name, role, data in wanted:
        if name in {known for known, _, _ in sets}:
            problems.append(f"Two data sets are called '{name}'; give the shift another name.")
            continue
        try:
            sets.append((name, role, data if isinstance(data, HeldOut) else held_out.like(data)))
        except InputError as error:
            problems += error.problems
            continue
        found = sets[-1][2]
        if (found.task, found.metric) != (held_out.task, held_out.metric):
            problems.append(
                f"The data of '{name}' are for {found.task} and {found.metric}, the held-out data for {held_out.task} and "
                f"{held_out.metric}: one table needs one metric."
            )
    by_content: dict[str, str] = {}
    for name, _, data in sets:
        if data.fingerprint and (first := by_content.setdefault(data.fingerprint, name)) != name:
            problems.append(f"The data of '{name}' are those of '{first}': evidence must come from other rows.")
    if problems:
        raise InputError(problems)
    return sets


def _check_labels(ingredients: Ingredients, sets: DataSets) -> None:
    problems: list[str] = []
    for _, _, data in sets:
        for model in ingredients.models:
            try:
                data.label_map(model.config, model.label)
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
