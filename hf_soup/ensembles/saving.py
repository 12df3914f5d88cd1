"""An ensemble as a folder: what its record says, and what lies beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import hf_soup
from hf_soup.checkpoints import AdapterCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.bundle import write_bundle
from hf_soup.ensembles.card_files import ensemble_card_files, with_pictures
from hf_soup.ensembles.data_fingerprint import data_fingerprint
from hf_soup.ensembles.finetune.trained_from import trained_from, write_trained_from
from hf_soup.ensembles.loading import write_local_members
from hf_soup.ensembles.member import Member, ModelMember
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.record import DataRecord, EnsembleRecord, FamilyRecord, FitRecord, MemberRecord
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation import HeldOut
from hf_soup.merging.output import output_problems, partial_folder
from hf_soup.merging.record import FileRecord, IngredientRecord
from hf_soup.merging.virtual import VirtualCheckpoint
from hf_soup.progress import say
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard, load_card, load_cards
from hf_soup.publishing.licences import Licence, derive_licence, licence_warning
from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble
    from hf_soup.ensembles.fitting import Temperature

_VERSIONS = ("matplotlib", "numpy", "scikit-learn", "torch", "transformers")


def save_ensemble(
    ensemble: Ensemble, out: Path, *, bundle: bool, overwrite: bool, license: str | None
) -> tuple[Path, EnsembleRecord]:
    """See `hf_soup.ensembles.Ensemble.save`; returns the folder and what its record says."""
    members = _members(ensemble)
    bundled = _bundled(ensemble, members)
    local = [one.ref.path for one in _stored(members) if one.ref is not None and one.ref.path is not None]
    trained = ensemble.finetuning or (ensemble.record.finetuning if ensemble.record is not None else None)
    # Trained members are on no Hub: an ensemble that only named them could be loaded nowhere else.
    bundle = bundle or bool(bundled) or (trained is not None and bool(local))
    problems = on_main_process(lambda: output_problems(out, overwrite, local))
    if bundle and not any(isinstance(member, ModelMember) for member in members.values()):
        problems.append("There are no models to bundle: this ensemble is of ready-made predictions or functions.")
    if problems:
        raise InputError(problems)
    record = record_of(ensemble)
    target = out.expanduser().resolve()
    before = _card_before(ensemble)
    return target, on_main_process(
        lambda: _write(record, members, bundled, before, target, bundle, overwrite, license, ensemble.token)
    )


def record_of(ensemble: Ensemble) -> EnsembleRecord:
    """Returns the record of a fitted or loaded ensemble, with the report as evidence."""
    combination, fit = ensemble.combination, ensemble.fitted
    data, evidence, how = [], None, None
    if fit is not None:
        evidence = ensemble.report.to_json()
        data = [_data(fit.name, "fit", fit.held_out, fit.data)]
        data += [_data(name, "test", each, ensemble.member_probabilities(each)) for name, each in fit.tests.items()]
        how = FitRecord(
            method=fit.method,
            tiers=combination.tiers,
            tier1=combination.tier1,
            temperature=cast("Temperature", fit.temperature),
            ridge=fit.ridge,
            seed=fit.seed,
            folds=fit.folds,
            group_by=fit.held_out.group_by if fit.held_out is not None else ensemble.grouped_by,
        )
    elif ensemble.record is not None and ensemble.record.combination == combination.to_json():
        data, evidence, how = ensemble.record.data, ensemble.record.evidence, ensemble.record.fit
    members = _members(ensemble)
    bundled = _bundled(ensemble, members)
    return EnsembleRecord(
        hf_soup=hf_soup.__version__,
        task=None if ensemble.given is not None else ensemble.task,
        classes=list(combination.classes),
        families=[
            FamilyRecord(
                name=family,
                members=[
                    bundled.get(name) or _member(name, members.get(name), ensemble.finetuning is None)
                    for name in names
                ],
            )
            for family, names in combination.families.items()
        ],
        columns=dict(ensemble.columns),
        max_length=ensemble.max_length,
        finetuning=ensemble.finetuning or (ensemble.record.finetuning if ensemble.record is not None else None),
        combination=combination.to_json(),
        fit=how,
        data=data,
        evidence=evidence,
        versions=dict(_versions()),
    )


def _members(ensemble: Ensemble) -> dict[str, Member]:
    """The members that are run, by name; none of ready-made predictions. Raises InputError where one is missing."""
    if ensemble.given is not None:
        return {}
    members = {member.name: member for member in ensemble.voters.members}
    lacking = [name for name in ensemble.combination.members if name not in members]
    if lacking:
        raise InputError(
            f"{', '.join(lacking)}: cannot be had now, and an ensemble is saved with all members that it has."
        )
    return {name: members[name] for name in ensemble.combination.members}


def _bundled(ensemble: Ensemble, members: Mapping[str, Member]) -> dict[str, MemberRecord]:
    """Members that lie in the folder which the ensemble was loaded from: what they are copies of, by their names.

    The folder does not say so of itself, and a place in it is none that a record could name. Trained members are others.
    """
    if ensemble.finetuning is not None:
        return {}
    return {name: one.model_copy(update={"folder": None}) for name, one in ensemble.bundled.items() if name in members}


def _card_before(ensemble: Ensemble) -> IngredientCard | None:
    """What the card of the folder says that the ensemble was loaded from; None where it was not, or there is no card."""
    folder = ensemble.loaded_from
    if folder is None or CARD_NAME not in folder.files:
        return None
    card = load_card(folder)
    return replace(card, base_models=(), library_name=None)


def _member(name: str, member: Member | None, trained_before: bool) -> MemberRecord:
    """`trained_before`: whether what its folder says of a training is of another one than that of this ensemble."""
    if member is None:
        return MemberRecord(name=name, source="predictions")
    if not isinstance(member, ModelMember):
        return MemberRecord(name=name, source="function")
    models = _models(member)
    origins = [one for model in models for one in trained_from(model)] if trained_before else []
    return MemberRecord(
        name=name, source="model", models=_recorded(models, name), called=dict(member.called), origins=origins
    )


def _recorded(models: Sequence[StoredCheckpoint], member: str) -> list[IngredientRecord]:
    """A folder is called like its member, in a soup with its own name behind: names of folders alone are often alike."""
    found = [IngredientRecord.of(model) for model in models]
    counts = Counter(one.name for one in found)
    named = []
    for place, one in enumerate(found, 1):
        if one.repo_id is None:
            own = one.name if counts[one.name] == 1 else f"{one.name} ({place})"
            one = one.model_copy(update={"name": member if len(found) == 1 else f"{member}/{own}"})
        named.append(one)
    return named


def _models(member: Member) -> list[StoredCheckpoint]:
    """The model itself, or those that it is the soup of; none of a function."""
    if not isinstance(member, ModelMember):
        return []
    checkpoint = member.checkpoint
    of_soup = checkpoint.combination.models if isinstance(checkpoint, VirtualCheckpoint) else [checkpoint]
    return [one for one in of_soup if isinstance(one, StoredCheckpoint)]


def _stored(members: Mapping[str, Member]) -> list[StoredCheckpoint]:
    return [model for member in members.values() for model in _models(member)]


def _data(
    name: str, role: str, held_out: HeldOut | MemberProbabilities | None, rows: MemberProbabilities
) -> DataRecord:
    """Of given predictions the file is that of the labels; rows and arrays that came from Python have none."""
    if isinstance(held_out, HeldOut):
        file = held_out.path.name if held_out.path is not None else None
    else:
        file = Path(rows.name).name if rows.name else None
    return DataRecord.model_validate(
        {"name": name, "role": role, "data": file, "rows": rows.rows, "fingerprint": data_fingerprint(rows)}
    )


def _write(
    record: EnsembleRecord,
    members: Mapping[str, Member],
    bundled: Mapping[str, MemberRecord],
    before: IngredientCard | None,
    target: Path,
    bundle: bool,
    overwrite: bool,
    license: str | None,
    token: str | bool | None,
) -> EnsembleRecord:
    stored = _stored(members)
    licensors = zip(record.ingredients, record.licensors, strict=True)
    names = {one.fingerprint: by.name if by.repo_id is not None else one.name for one, by in licensors}
    cards = {model.fingerprint: _card(model, names.get(model.fingerprint)) for model in stored}
    bases = [_card(model.base) for model in stored if isinstance(model, AdapterCheckpoint)]
    bases += _bases_before(record, token)
    if before is not None:
        known = {model.fingerprint for one in bundled.values() for model in one.models}
        known |= {model.fingerprint for name in bundled for model in _models(members[name])}
        cards |= dict.fromkeys(known, before)
    licence = _licence([*cards.values(), *bases], license or (before.licence if before is not None else None))
    local = {
        one.name: model.folder.ref.path
        for member in record.members
        if member.source == "model" and member.name not in bundled
        for one, model in zip(member.models, _models(members[member.name]), strict=True)
        if model.folder.ref.path is not None
    }
    with partial_folder(target, {"ensemble": record.model_dump_json()}, overwrite=overwrite, fresh=True) as (
        folder,
        _,
    ):
        if bundle:
            models = {name: member.checkpoint for name, member in members.items() if isinstance(member, ModelMember)}
            record = _with_folders(record, *write_bundle(models, folder))
            _write_origins(record, folder)
        else:
            write_local_members(local, folder)
        record = with_pictures(record)
        shown = [cards.get(one.fingerprint, IngredientCard(one.name)) for one in record.ingredients]
        for name, content in ensemble_card_files(record, shown, licence).items():
            (folder / name).write_bytes(content)
        record.write(folder)
    return record


def _card(model: StoredCheckpoint, name: str | None = None) -> IngredientCard:
    """An empty one where it cannot be read now; a push reads it again, and asks who publishes where nothing is stated.

    `name`: as the record names the model, or what it was before it was fine-tuned here, whose licence its card has.
    """
    name = name or model.folder.ref.name
    try:
        return load_card(model.folder, name)
    except SoupError:
        return IngredientCard(name)


def _write_origins(record: EnsembleRecord, folder: Path) -> None:
    """For who takes a folder of the bundle for a model of its own."""
    for member in record.members:
        if member.folder is not None:
            start = record.start_of(member)
            earlier = (
                [start, *record.finetuning.origins] if start is not None and record.finetuning is not None else []
            )
            write_trained_from(folder / member.folder, [*member.models, *member.origins, *earlier])


def _bases_before(record: EnsembleRecord, token: str | bool | None) -> list[IngredientCard]:
    """The cards of the bases on the Hub over which fine-tuned members were adapters, as far as they can be read now."""
    starts = record.finetuning.starts.values() if record.finetuning is not None else ()
    cards: list[IngredientCard] = []
    for base in (one.adapter_of for one in starts):
        if base is not None and base.repo_id is not None:
            try:
                cards += load_cards([base], token=token)
            except SoupError:
                cards.append(IngredientCard(base.name))
    return cards


def _licence(cards: Sequence[IngredientCard], given: str | Licence | None) -> Licence | None:
    """Licences that differ are no obstacle before a push. Raises InputError for a given one that the Hub does not know."""
    if not cards and given is None:
        return None
    try:
        licence = derive_licence(cards, given)
    except InputError as error:
        if given is not None:
            raise
        say(f"Warning: {' '.join(error.problems)}")
        return None
    if warning := licence_warning(cards, licence):
        say(f"Warning: {warning}")
    return licence


def _with_folders(
    record: EnsembleRecord, folders: Mapping[str, str], outputs: Mapping[str, FileRecord]
) -> EnsembleRecord:
    families = [
        family.model_copy(
            update={
                "members": [
                    member.model_copy(update={"folder": folders.get(member.name)}) for member in family.members
                ]
            }
        )
        for family in record.families
    ]
    return record.model_copy(update={"families": families, "outputs": dict(outputs)})


def _versions() -> Iterator[tuple[str, str]]:
    for name in _VERSIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
