"""What a fine-tuning was asked for, and everything about it that can be wrong before a model is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.ensembles.finetune.apart import overlap_problems
from hf_soup.ensembles.member import ModelMember
from hf_soup.ensembles.opening import Voters
from hf_soup.ensembles.tiers import Shape
from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut
from hf_soup.merging.output import output_problems
from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble


@dataclass(frozen=True)
class FineTuning:
    """What `Ensemble.fit(finetune=True)` was asked for. `out`: where the trained members are to lie."""

    train: Any
    out: str | Path | None
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    tiers: Shape


def checked_rows(
    ensemble: Ensemble, held_out: Any, tests: Mapping[str, Any], wanted: FineTuning
) -> tuple[HeldOut, HeldOut]:
    """Returns the held-out rows and the training rows. Raises InputError with what is wrong with them and with the settings."""
    if ensemble.given is not None:
        raise InputError("This ensemble is of ready-made predictions; there are no models to fine-tune.")
    if not isinstance(held_out, HeldOut) or held_out.task != ensemble.task:
        raise InputError(f"Held-out rows are needed, with task='{ensemble.task}'.")
    problems = []
    if not isinstance(wanted.epochs, int) or wanted.epochs < 1:
        problems.append(f"epochs={wanted.epochs}: must be a whole number of at least 1.")
    if wanted.batch_size < 1:
        problems.append(f"batch_size={wanted.batch_size}: must be at least 1.")
    if not (wanted.learning_rate > 0 and math.isfinite(wanted.learning_rate)):
        problems.append(f"learning_rate={wanted.learning_rate}: must be above 0, as 2e-5 is.")
    train = wanted.train
    if isinstance(train, str | Path):
        train = held_out.like(train)
    if not isinstance(train, HeldOut):
        problems.append(
            "Fine-tuning needs rows to train on, other ones than the held-out rows: train=HeldOut(…) or a file."
        )
    elif train.task != ensemble.task:
        problems.append(
            f"{train.name}: is for {train.task or 'no task'}; the training rows must be for {ensemble.task}."
        )
    else:
        problems += overlap_problems(train, held_out, "held-out rows")
        for name, rows in tests.items():
            if isinstance(rows, HeldOut):
                problems += overlap_problems(train, rows, f"rows of the test {name}")
    problems += [
        f"{name}: is of predictions, which are those of the members before training; give rows."
        for name, rows in tests.items()
        if not isinstance(rows, HeldOut)
    ]
    if problems:
        raise InputError(problems)
    return held_out, train


def checked_members(ensemble: Ensemble, voters: Voters, wanted: FineTuning) -> Path:
    """Returns where the trained members are to lie. Raises InputError for members that cannot be trained."""
    problems = [f"The member {name} cannot be had: {reason}" for name, reason in voters.missing.items()]
    functions = [member.label for member in voters.members if not isinstance(member, ModelMember)]
    if functions:
        subject, verb = ("a function", "it") if len(functions) == 1 else ("functions", "them")
        problems.append(
            f"{', '.join(functions)}: {subject}, which cannot be fine-tuned; leave {verb} out, or fit without finetune."
        )
    if ensemble.tier1 == "soup":
        problems.append(
            "tier1='soup' averages the weights of a family, and fine-tuning trains what its members say together; choose tier1='mean', "
            "or fine-tune each model by itself before."
        )
    if wanted.out is None:
        problems.append("Say where the trained members are to be written: out='FOLDER'.")
        raise InputError(problems)
    out = Path(wanted.out)
    local = [
        member.ref.path
        for member in voters.members
        if isinstance(member, ModelMember) and member.ref is not None and member.ref.path is not None
    ]
    problems += on_main_process(lambda: output_problems(out, False, local))
    if problems:
        raise InputError(problems)
    return out
