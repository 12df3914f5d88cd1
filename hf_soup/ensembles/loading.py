"""From the record of an ensemble to the ensemble: members at their commits, in its own folder, or where somebody says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_soup.checkpoints import ModelRef, PinnedRef, open_checkpoint, open_folder, resolve
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.ensembles.bundle_check import bundled_ref, exchanged_members
from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.member import FunctionMember
from hf_soup.ensembles.probabilities import Family, MemberProbabilities
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord, MemberRecord
from hf_soup.ensembles.soundness import record_problems
from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.recorded_ingredients import digest_contradictions

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble

LOCAL_MEMBERS = ".local_members.json"
"""Where the members lie that were folders, for this machine only: names that begin with a dot are never published."""


def load_ensemble(
    target: str | Path,
    *,
    members: Mapping[str, Any] | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> Ensemble:
    """See `hf_soup.ensembles.Ensemble.from_pretrained`."""
    pinned = resolve(ModelRef.parse(target, revision), token=token, cache_dir=cache_dir)
    if len(pinned) != 1:
        raise InputError(f"'{target}' names {len(pinned)} models; an ensemble is one repository or folder.")
    folder = open_folder(pinned[0], token=token, cache_dir=cache_dir)
    if ENSEMBLE_RECORD not in folder.files:
        raise InputError(f"{folder.ref.label}: has no {ENSEMBLE_RECORD}, so it is not an ensemble of hf-soup.")
    record = EnsembleRecord.read(folder.local_path(ENSEMBLE_RECORD))
    if problems := exchanged_members(folder, record):
        raise InputError(problems)
    made = ensemble_in(folder, record, members=members or {}, token=token, cache_dir=cache_dir, **options)
    made.loaded_from = folder
    made.bundled = {member.name: member for member in record.members if member.folder is not None}
    made._saved = (folder.ref.path, made.combination)
    return made


def ensemble_in(
    folder: ModelFolder,
    record: EnsembleRecord,
    *,
    members: Mapping[str, Any],
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> Ensemble:
    """Makes the ensemble that the record in `folder` describes. No code of the repository is run, no member is downloaded.

    `members`: where those are that the record cannot name. Raises InputError for a record that contradicts itself, members that
    are missing (unless `on_missing="reweigh"` is among the options), and folders that hold other models than the recorded ones.
    """
    from hf_soup.ensembles.ensemble import Ensemble
    from hf_soup.ensembles.opening import on_missing_policy

    if problems := record_problems(record):
        raise InputError(problems)
    combination = Combination.from_json(record.combination)
    if all(member.source == "predictions" for member in record.members):
        made = Ensemble.from_predictions(_no_rows(record))
        made.tier1 = combination.tier1
        made.on_missing = on_missing_policy(options.get("on_missing", "error"))
    else:
        given = _places(folder, record, members)
        problems = [] if options.get("on_missing") == "reweigh" else list(_missing(record, given))
        problems += _strangers(record, given, token, cache_dir)
        if problems:
            raise InputError(problems)
        families, called = _families(folder, record, given)
        made = Ensemble(
            families,
            task=str(record.task),
            tier1=combination.tier1,
            labels=called,
            token=token,
            cache_dir=cache_dir,
            **options,
        )
    made.combination = combination
    made.columns, made.max_length = dict(record.columns), record.max_length
    made.record = record
    return made


def held_out_like(record: EnsembleRecord, data: str | Path) -> HeldOut:
    """Returns rows in a file, read as those that the ensemble was fitted on."""
    return HeldOut(
        data,
        task=record.task,
        columns=record.columns,
        max_length=record.max_length,
        group_by=record.fit.group_by if record.fit is not None else None,
        unreadable="leave_out",
    )


def write_local_members(places: Mapping[str, Path], folder: Path) -> None:
    if places:
        content = {name: str(path) for name, path in places.items()}
        (folder / LOCAL_MEMBERS).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _places(folder: ModelFolder, record: EnsembleRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of where members are that the record does not pin: as given, else as this machine remembers."""
    known = [*(member.name for member in record.members), *(model.name for model in record.ingredients)]
    if unknown := [name for name in given if name not in known]:
        raise InputError(
            f"{ENSEMBLE_RECORD} names no member '{unknown[0]}'; it names: {', '.join(dict.fromkeys(known))}."
        )
    remembered: dict[str, Any] = {}
    if folder.ref.path is not None and (folder.ref.path / LOCAL_MEMBERS).is_file():
        try:
            found = json.loads((folder.ref.path / LOCAL_MEMBERS).read_bytes())
            remembered = {str(name): Path(path) for name, path in found.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(
                f"{folder.ref.path / LOCAL_MEMBERS}: is damaged ({error}); remove it, and say where members lie: members={{name: folder}}."
            ) from error
    return {**{name: path for name, path in remembered.items() if name in known and path.is_dir()}, **given}


def _missing(record: EnsembleRecord, given: Mapping[str, Any]) -> Iterator[str]:
    for name in record.supplied():
        if name not in given:
            yield (
                f"The member '{name}' is not on the Hub, or its name is withheld; say where it is: members={{'{name}': …}} "
                f"(--member '{name}=DIR')."
            )


def _strangers(
    record: EnsembleRecord, given: Mapping[str, Any], token: str | bool | None, cache_dir: str | Path | None
) -> list[str]:
    """What lies where members should be is held against the record; a commit on the Hub is what it was."""
    problems: list[str] = []
    for model in record.ingredients:
        place = given.get(model.name)
        if place is None or callable(place) or isinstance(place, FunctionMember):
            continue
        try:
            checkpoint = open_checkpoint(place, token=token, cache_dir=cache_dir)
            problems += digest_contradictions([(model, checkpoint)], ENSEMBLE_RECORD)
        except InputError as error:
            problems += error.problems
    return problems


def _families(
    folder: ModelFolder, record: EnsembleRecord, given: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, str]]]:
    """Returns (members by family and name, what each calls its classes). A soup is made again of its models."""
    families: dict[str, dict[str, Any]] = {}
    called: dict[str, dict[str, str]] = {}
    for family in record.families:
        for member in family.members:
            for name, place in _named_places(folder, member, given):
                families.setdefault(family.name, {})[name] = place
                if member.called:
                    called[name] = member.called
    return families, called


def _named_places(folder: ModelFolder, member: MemberRecord, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if member.folder is not None:
        yield member.name, bundled_ref(folder, member.folder)
    elif member.source == "function":
        if member.name in given:
            place = given[member.name]
            yield member.name, place if isinstance(place, FunctionMember) else FunctionMember(place, member.name)
    elif len(member.models) == 1:
        place = given.get(member.name) or given.get(member.models[0].name) or _pinned(member.models[0])
        if place is not None:
            yield member.name, place
    else:
        for model in member.models:
            place = given.get(model.name) or _pinned(model)
            if place is not None:
                yield model.name, place


def _pinned(model: IngredientRecord) -> PinnedRef | None:
    """A model at its commit; an adapter over the base that was recorded, where that is on the Hub."""
    pinned = model.pinned()
    base = model.adapter_of.pinned() if model.adapter_of is not None else None
    if pinned is None or base is None:
        return pinned
    return PinnedRef(
        pinned.requested, repo_id=pinned.repo_id, revision=pinned.revision, subfolder=pinned.subfolder, base=base
    )


def _no_rows(record: EnsembleRecord) -> MemberProbabilities:
    """The members of ready-made predictions, and nothing that they said."""
    members = [member.name for member in record.members]
    ends = np.cumsum([len(family.members) for family in record.families]).tolist()
    return MemberProbabilities(
        values=np.empty((len(members), 0, len(record.classes)), np.float32),
        members=tuple(members),
        families=tuple(
            Family(family.name, tuple(range(end - len(family.members), end)))
            for family, end in zip(record.families, ends, strict=True)
        ),
        classes=tuple(record.classes),
        ids=np.empty(0, np.str_),
    )
