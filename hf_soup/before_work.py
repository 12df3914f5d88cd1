"""Everything that would stop a merge or its publication later, asked before the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints import AdapterCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging import Plan
from hf_soup.merging.output import case_problems, output_problems
from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from hf_soup.publishing import Target


def check_before_work(
    plan: Plan,
    out: Path | None,
    *,
    overwrite: bool = False,
    force: bool,
    license: str | None,
    publish: bool | str | Target,
    token: str | bool | None,
    data: Sequence[Path] = (),
) -> None:
    """Raises InputError with all problems. `out` None: no folder. `data`: files that the work reads beside the models."""
    from hf_soup.publishing import Target, derive_licence, load_card, room_problems, target_problems

    local = [source.ref.path for source in plan.sources if source.ref is not None and source.ref.path is not None]
    names = [*(file.name for file in plan.layout.files), *plan.donor_checkpoint.side_files()]
    problems = [*plan.problems, *(() if force else plan.doubts)]
    if out is None:
        problems += room_problems(plan)
    else:
        problems += on_main_process(
            lambda: [*output_problems(out, overwrite, [*local, *data]), *case_problems(out, names)]
        )
    if not isinstance(publish, bool):
        target = Target(publish) if isinstance(publish, str) else publish
        problems += on_main_process(lambda: target_problems(target, token))
    if publish or license is not None:
        try:
            derive_licence([load_card(source.folder) for source in licensors(plan)], license)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def too_few(plan: Plan) -> list[str]:
    """A task vector of one model can be scaled or negated; an average needs two."""
    if len(plan.models) > 1 or plan.method.needs_base:
        return []
    return [f"Only one ingredient: {plan.models[0].label}; a soup needs at least two models."]


def licensors(plan: Plan) -> Sequence[StoredCheckpoint]:
    """Whose weights are in the result; a base that only lends its config and tokenizer is not among them."""
    models = plan.sources if plan.method.needs_base else plan.models
    under = dict.fromkeys(model.base for model in models if isinstance(model, AdapterCheckpoint))
    return list(dict.fromkeys((*models, *under)))
