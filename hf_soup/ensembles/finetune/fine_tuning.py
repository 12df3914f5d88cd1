"""From an ensemble's members to the same members, trained together on other rows than they are judged on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.alignment import aligned_classes
from hf_soup.ensembles.finetune.request import FineTuning, checked_members, checked_rows
from hf_soup.ensembles.finetune.trained_from import trained_from
from hf_soup.ensembles.member import ModelMember
from hf_soup.ensembles.opening import Voters
from hf_soup.ensembles.record import EpochRecord, FineTuningRecord
from hf_soup.ensembles.tiers import Tiers
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation import HeldOut
from hf_soup.evaluation.data_files import row_numbers
from hf_soup.merging.record import IngredientRecord
from hf_soup.progress import phase, say
from hf_soup.ranks import is_main_process, on_main_process

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble

Families = dict[str, dict[str, Path]]


def fine_tune(
    ensemble: Ensemble, held_out: Any, tests: Mapping[str, Any], wanted: FineTuning
) -> tuple[Families, FineTuningRecord]:
    """Trains the members of `ensemble`, which stays as it is; returns (their folders by family and name, how they came about).

    Raises InputError with all problems of rows, members and settings before anything is loaded, SoupError when a loss is not
    finite or memory does not suffice. Nothing carries its final name before all members are complete.
    """
    held_out, train = checked_rows(ensemble, held_out, tests, wanted)
    voters = ensemble.opened()
    out = checked_members(ensemble, voters, wanted)
    classes = aligned_classes(voters.members, [example["label"] for example in held_out.examples], held_out.name)
    labels = _labels(train, classes)
    _labels(held_out, classes)
    new_names = _new_names(voters)
    from hf_soup.ensembles.finetune.member_mixture import MemberMixture
    from hf_soup.ensembles.finetune.trained_member import TrainedMember, encoded_for
    from hf_soup.ensembles.finetune.training import Schedule, TrainingRows
    from hf_soup.ensembles.finetune.training import train as run
    from hf_soup.ensembles.finetune.written_members import write_members
    from hf_soup.evaluation.hardware import Hardware

    phase("loading members")
    hardware = Hardware(ensemble.device)
    members = [
        TrainedMember(member, classes, ensemble.task_type, hardware, trust_remote_code=ensemble.trust_remote_code)
        for member in voters.members
        if isinstance(member, ModelMember)
    ]
    max_length = train.max_length if train.max_length is not None else held_out.max_length
    encodings, places = encoded_for(members, train, max_length)
    tiers = Tiers.of(
        {family: [new_names[name] for name in names] for family, names in voters.names.items()},
        wanted.tiers,
        ensemble.tier1,
        {},
    )
    mixture = MemberMixture(
        [member.model for member in members],
        [member.map for member in members],
        tiers.inputs_members,
        places,
        ensemble.tier1,
    )
    judge = _Judge(members, mixture, held_out, classes, hardware)
    phase("training members and weights together")
    before = judge()
    if not math.isfinite(before):
        raise SoupError(f"{held_out.name}: a member gives NaN or infinity before any training; leave it out.")
    schedule = Schedule(wanted.epochs, wanted.learning_rate, wanted.batch_size, wanted.seed)
    epochs, kept = run(mixture, TrainingRows(encodings, _tensor(labels)), schedule, hardware, judge)
    record = FineTuningRecord(
        data=train.path.name if train.path is not None else train.name,
        rows=train.rows,
        fingerprint=str(train.fingerprint),
        max_length=max_length,
        learning_rate=wanted.learning_rate,
        batch_size=wanted.batch_size,
        seed=wanted.seed,
        device=hardware.kind,
        processes=hardware.processes,
        before=before,
        epochs=[
            EpochRecord(
                train_nll=epoch.train_nll,
                held_out_nll=epoch.held_out_nll,
                weights=dict(zip(tiers.names, epoch.weights, strict=True)),
            )
            for epoch in epochs
        ],
        kept=kept,
        starts={new_names[member.member.name]: _start(member.member) for member in members},
        origins=_origins(ensemble, [member.member for member in members]),
    )
    if is_main_process():
        say(record.sentence())
        if record.harmed:
            say(f"Warning: {record.harmed}")
    by_name = {new_names[member.member.name]: member for member in members}
    folders = on_main_process(lambda: write_members(by_name, out, record))
    families = {
        family: {new_names[name]: folders[new_names[name]] for name in names} for family, names in voters.names.items()
    }
    return families, record


class _Judge:
    """The negative log-likelihood of the held-out rows by the mixture as it is in memory, float64, the same in every process."""

    def __init__(
        self, members: Sequence[Any], mixture: Any, held_out: HeldOut, classes: Sequence[str], hardware: Any
    ) -> None:
        from hf_soup.ensembles.finetune.trained_member import encoded_for

        self._members, self._mixture, self._held_out, self._hardware = members, mixture, held_out, hardware
        self._encodings, self._places = encoded_for(members, held_out, held_out.max_length)
        self._labels = _tensor(_labels(held_out, classes))

    def __call__(self) -> float:
        import torch

        said = [
            torch.from_numpy(member.logits(self._held_out, self._encodings[place], self._hardware)).double()
            for member, place in zip(self._members, self._places, strict=True)
        ]
        nll = self._mixture.nll(said, self._labels, self._mixture.w.detach().cpu().double())
        return float(nll.mean())


def _labels(rows: HeldOut, classes: Sequence[str]) -> list[int]:
    """The class of each row. Raises InputError, with row numbers, for labels that the members do not know."""
    place = {name: index for index, name in enumerate(classes)}
    unknown = [number for number, example in enumerate(rows.examples, 1) if example["label"] not in place]
    if unknown:
        names = sorted({example["label"] for example in rows.examples} - set(place))
        raise InputError(
            f"{rows.name}: {row_numbers(unknown)}: the members know no class {', '.join(names)}; their classes: {', '.join(classes)}."
        )
    return [place[example["label"]] for example in rows.examples]


def _tensor(labels: Sequence[int]) -> Any:
    import torch

    return torch.tensor(labels, dtype=torch.int64)


def _new_names(voters: Voters) -> dict[str, str]:
    """A member that is called as on the Hub is not that model any more; names that somebody gave stay."""
    return {
        member.name: f"{member.name} (fine-tuned)"
        if isinstance(member, ModelMember) and _is_of_hub(member)
        else member.name
        for member in voters.members
    }


def _is_of_hub(member: ModelMember) -> bool:
    return member.ref is not None and member.ref.repo_id is not None and member.name.startswith(member.ref.repo_id)


def _start(member: ModelMember) -> IngredientRecord:
    assert isinstance(member.checkpoint, StoredCheckpoint)
    return IngredientRecord.of(member.checkpoint)


def _origins(ensemble: Ensemble, members: Sequence[ModelMember]) -> list[IngredientRecord]:
    """Models on the Hub that went into members which lie in an ensemble's folder or were trained before, each once."""
    models = [model for member in ensemble.bundled.values() for model in (*member.models, *member.origins)]
    models += [
        one for m in members if isinstance(m.checkpoint, StoredCheckpoint) for one in trained_from(m.checkpoint)
    ]
    recorded = ensemble.record.finetuning if ensemble.record is not None else None
    if (earlier := ensemble.finetuning or recorded) is not None:
        models += earlier.sources
    named = [one for one in models if one.repo_id or (one.adapter_of is not None and one.adapter_of.repo_id)]
    return list({(one.name, one.revision, one.fingerprint): one for one in named}.values())
