"""Is a published ensemble what its card says? Members against their digests, the record against itself and the card, and with
data the weights and figures against what they are when they are computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import hf_soup
from hf_soup.checkpoints import AdapterBases, AdapterCheckpoint, open_checkpoint
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.alignment import label_map
from hf_soup.ensembles.bundle_check import bundle_findings
from hf_soup.ensembles.card import (
    VERDICT,
    base_models,
    data_lines,
    derived_lines,
    member_table,
    model_index_results,
)
from hf_soup.ensembles.card_files import METRICS_NAME, pictures_of
from hf_soup.ensembles.evidence_check import evidence_contradictions, other_words
from hf_soup.ensembles.loading import ensemble_in, held_out_like
from hf_soup.ensembles.member import ModelMember
from hf_soup.ensembles.plots import RELIABILITY_PICTURE, WEIGHTS_PICTURE
from hf_soup.ensembles.prediction_files import PredictionFiles
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.recomputed import Recomputed, recomputed
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.ensembles.report import EnsembleReport
from hf_soup.ensembles.soundness import record_problems
from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut
from hf_soup.merging.record import IngredientRecord
from hf_soup.publishing.card_check import card_contradictions, without_address
from hf_soup.publishing.card_files import is_generated
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.ingredient_cards import CARD_NAME
from hf_soup.publishing.places import Places
from hf_soup.publishing.recorded_ingredients import digest_contradictions
from hf_soup.publishing.side_comparison import compare_digests
from hf_soup.publishing.strays import strays
from hf_soup.publishing.verdict import Bar, FileVerdict, Verification

if TYPE_CHECKING:
    from hf_soup.ensembles.ensemble import Ensemble

_NO_ROWS = (
    "no rows were given; the figures can be computed again from those that the card names: --data FILE{} (data=…)"
)


@dataclass(frozen=True)
class EnsembleVerification(Verification):
    """The result of `verify` for an ensemble. `ingredients`: the models that were compared. `recomputed`: the figures."""

    recomputed: Recomputed = field(default_factory=Recomputed)
    notes: tuple[str, ...] = ()
    """What was not done, or speaks neither for nor against."""

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return {
            "target": self.target,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "members": list(self.ingredients),
            "files": [{"path": file.path, "finding": file.finding, "counts": file.counts} for file in self.files],
            "contradictions": list(self.contradictions),
            "recomputed": {
                "sets": list(self.recomputed.sets),
                "not_computed_again": list(self.recomputed.others),
                "figures": self.recomputed.figures,
                "recorded_figures": self.recomputed.recorded,
                "largest_difference": self.recomputed.largest,
                "fit_agrees": self.recomputed.fit_agrees,
            },
            "notes": list(self.notes),
        }

    def _lines(self) -> Iterator[str]:
        good = self.exit_code == 0
        yield f"{self.target} {'is' if good else 'is NOT'} what its card says{self._how_far() if good else '.'}"
        if self.ingredients:
            yield f"  members compared with their recorded digests: {', '.join(self.ingredients)}"
        if self.recomputed.figures:
            fitted = {
                None: "",
                True: "; weights and temperatures agree",
                False: "; weights or temperatures do NOT agree",
            }
            yield (
                f"  computed again on {', '.join(self.recomputed.sets)}: {self._counted}, which differ by at most "
                f"{self.recomputed.largest:.3g}{fitted[self.recomputed.fit_agrees]}"
            )
        for file in self.files:
            yield f"  {'file' if file.counts else 'note'}: {file.path}: {file.finding}"
        for note in self.notes:
            yield f"  note: {note}"
        for contradiction in self.contradictions:
            yield f"  {contradiction}"

    def _how_far(self) -> str:
        known = " of its members" if self.ingredients else ", as far as its own record tells"
        if not self.recomputed.recorded:
            return f"{known}; it claims no figures."
        if not self.recomputed.figures:
            return f"{known}; its {self.recomputed.recorded:,} figures were NOT computed again."
        if self.recomputed.all_figures:
            return f"; {self._counted} were computed again and agree."
        others = ", ".join(self.recomputed.others) or "what needs the rows that the weights were fitted on"
        return f"; {self._counted} were computed again and agree; not computed again: {others}."

    @property
    def _counted(self) -> str:
        found = self.recomputed
        return (
            f"all {found.figures:,} figures"
            if found.all_figures
            else f"{found.figures:,} of {found.recorded:,} figures"
        )


def verify_ensemble(folder: ModelFolder, places: Places, progress: Bar, data: Any = None) -> EnsembleVerification:
    """Compares, and computes again what `data` allows. Text that follows from the recorded figures is derived again in any case.

    `data`: what the ensemble was fitted or tested on: a file, a `HeldOut`, `MemberProbabilities`, `PredictionFiles`, or a list of
    these. They are recognised by their rows. Raises InputError when members are missing or not accessible, and for rows that the ensemble
    was neither fitted nor tested on, unless something else is wrong with it; HubError when the Hub fails.
    """
    record = EnsembleRecord.read(folder.local_path(ENSEMBLE_RECORD))
    contradictions = record_problems(record)
    if contradictions:  # what follows computes with it
        return EnsembleVerification(folder.ref.label, (), "cpu", (), (), tuple(contradictions))
    problems = list(_missing(record, places))
    models: list[tuple[IngredientRecord, StoredCheckpoint]] = []
    for one in record.ingredients:
        if (one.name in places.given or one.repo_id is not None) and not problems:
            try:
                models += _opened(one, places)
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    files = list(_files(folder, record, models, places, progress))
    contradictions += [
        *digest_contradictions(models, ENSEMBLE_RECORD),
        *_label_contradictions(record, models),
        *evidence_contradictions(record),
        *_card_contradictions(folder, record),
    ]
    # Another version may word the same figures otherwise.
    same_version = record.hf_soup == hf_soup.__version__
    worded = other_words(record)
    contradictions += worded if same_version else []
    found = _recomputed(folder, record, places, data)
    wrong = bool(contradictions or found.differences or any(file.counts for file in files))
    if found.strangers and not wrong:
        raise InputError(list(found.strangers))
    notes = [*found.strangers, *found.notes]
    if worded and not same_version:
        notes.append(
            f"it was made with hf-soup {record.hf_soup}, this is {hf_soup.__version__}, by which: {' '.join(worded)}"
        )
    if data is None and record.data:
        given = any(member.source == "predictions" for member in record.members)
        notes.append(_NO_ROWS.format(" --predictions NAME=FILE,FILE" if given else ""))
    return EnsembleVerification(
        target=folder.ref.label,
        ingredients=tuple(model.label for _, model in models),
        device="cpu",
        tensors=(),
        files=tuple(files),
        contradictions=(*contradictions, *found.differences),
        recomputed=found,
        notes=tuple(notes),
    )


def _missing(record: EnsembleRecord, places: Places) -> Iterator[str]:
    """Models that are not pinned and not given; what is bundled need not be had from elsewhere."""
    bundled = {model.name for member in record.members if member.folder is not None for model in member.models}
    wanted = [one for one in record.ingredients if one.name not in bundled or one.name in places.given or one.repo_id]
    bases = [one.adapter_of for one in wanted if one.adapter_of is not None]
    yield from places.problems([*wanted, *bases])


def _opened(one: IngredientRecord, places: Places) -> list[tuple[IngredientRecord, StoredCheckpoint]]:
    bases = None
    found: list[tuple[IngredientRecord, StoredCheckpoint]] = []
    if one.adapter_of is not None:
        base = open_checkpoint(places.of(one.adapter_of), token=places.token, cache_dir=places.cache_dir)
        bases = AdapterBases(base)
        found.append((one.adapter_of, base))
    model = open_checkpoint(places.of(one), token=places.token, cache_dir=places.cache_dir, bases=bases)
    if isinstance(model, AdapterCheckpoint) != (one.adapter_of is not None):
        says = "an adapter" if one.adapter_of is not None else "a full model"
        raise InputError(f"{ENSEMBLE_RECORD} says that {one.name} is {says}; {model.label} is not.")
    return [(one, model), *found]


def _files(
    folder: ModelFolder,
    record: EnsembleRecord,
    models: Sequence[tuple[IngredientRecord, StoredCheckpoint]],
    places: Places,
    progress: Bar,
) -> Iterator[FileVerdict]:
    yield from compare_digests(folder, record.outputs, ENSEMBLE_RECORD)
    yield from _pictures(folder, record)
    if not any(path not in folder.files for path in record.outputs):
        yield from bundle_findings(folder, record, {one.fingerprint: model for one, model in models}, places, progress)
    wanted = {CARD_NAME, ENSEMBLE_RECORD, METRICS_NAME, *record.outputs}
    for path in strays(folder.files, wanted):
        yield FileVerdict(path, "is not a part of the ensemble, and may be loaded in its place", True)
    for path in sorted(folder.files):
        if path.startswith("members/") and path not in record.outputs:
            yield FileVerdict(path, f"was added: {ENSEMBLE_RECORD} does not list it", True)


def _pictures(folder: ModelFolder, record: EnsembleRecord) -> Iterator[FileVerdict]:
    """Files against their digests; against what is drawn of the figures only as a note, for another matplotlib draws otherwise."""
    yield from compare_digests(folder, record.pictures, ENSEMBLE_RECORD)
    try:
        drawn = pictures_of(record)
    except ValueError as error:
        yield FileVerdict(ENSEMBLE_RECORD, f"has figures of which no picture can be drawn ({error})", True)
        return
    for path in (WEIGHTS_PICTURE, RELIABILITY_PICTURE):
        if path not in folder.files:
            continue
        if path not in record.pictures or path not in drawn:
            yield FileVerdict(path, f"was added: {ENSEMBLE_RECORD} does not list it", True)
        elif folder.local_path(path).read_bytes() != drawn[path]:
            yield FileVerdict(
                path,
                f"is not, byte for byte, what is drawn here of the figures in {ENSEMBLE_RECORD}; versions of matplotlib differ in that. "
                "What counts is in the tables",
                False,
            )


def _label_contradictions(
    record: EnsembleRecord, models: Sequence[tuple[IngredientRecord, StoredCheckpoint]]
) -> Iterator[str]:
    opened = {one.fingerprint: model for one, model in models}
    for member in record.members:
        for one in member.models:
            if one.fingerprint not in opened:
                continue
            try:
                label_map(ModelMember(member.name, opened[one.fingerprint], member.called), record.classes)
            except InputError as error:
                yield from error.problems


def _card_contradictions(folder: ModelFolder, record: EnsembleRecord) -> Iterator[str]:
    tables = {"members, commits and weights": member_table(record)}
    yield from card_contradictions(folder, tables, base_models(record), ENSEMBLE_RECORD)
    report = EnsembleReport.from_json(record.evidence) if record.evidence is not None else None
    if METRICS_NAME in folder.files and report is not None:
        try:
            metrics = json.loads(folder.local_path(METRICS_NAME).read_bytes())
        except (ValueError, RecursionError):
            metrics = None
        if metrics != json.loads(json.dumps(report.rows())):
            yield f"{METRICS_NAME} gives other figures than {ENSEMBLE_RECORD}."
    if CARD_NAME not in folder.files:
        return
    card = folder.local_path(CARD_NAME).read_text(encoding="utf-8", errors="replace")
    metadata, body = split_front_matter(card)
    if report is not None:
        yield from _evidence_contradictions(body, report)
    yield from _text_contradictions(body, record, is_generated(card) and record.hf_soup == hf_soup.__version__)
    index = metadata.get("model-index")
    if index and [one.get("results") for one in index if isinstance(one, dict)] != [model_index_results(record)]:
        yield f"The card's model-index gives other results than {ENSEMBLE_RECORD}."


def _text_contradictions(body: str, record: EnsembleRecord, as_written: bool) -> Iterator[str]:
    """Of a card that nobody edited every line that follows from the record; of another one those about the data, where it has them."""
    lines = {without_address(line.strip()) for line in body.splitlines()}
    for begin, line in data_lines(record).items():
        if any(other.startswith(begin) and other != line for other in lines):
            yield f"What the card says of its data is not what {ENSEMBLE_RECORD} says: '{line}'"
    for line in derived_lines(record) if as_written else ():
        if without_address(line) not in lines:
            yield f"The card does not say what follows from {ENSEMBLE_RECORD}: '{line}'"


def _evidence_contradictions(body: str, report: EnsembleReport) -> Iterator[str]:
    """Verdict, warnings and tables, where the card has them; each table is found by its title."""
    lines = [line.strip() for line in body.splitlines()]
    verdicts = [line for line in lines if line.startswith(VERDICT)]
    if any(line != VERDICT + report.sentence for line in verdicts):
        yield f"The card's verdict is not the one that {ENSEMBLE_RECORD} gives: '{report.sentence}'"
    for warning in report.warnings if verdicts else ():
        if f"Warning: {warning}" not in body:
            yield f"The card lacks a warning that {ENSEMBLE_RECORD} gives: '{warning}'"
    for grid in report.grids():
        title, _, *rows = grid.markdown().splitlines()
        if title not in lines:
            continue
        shown = takewhile(lambda line: line.startswith("|"), lines[lines.index(title) + 2 :])
        if list(shown) != rows:
            yield f"The card's table '{title.strip('*')}' is not the one that {ENSEMBLE_RECORD} gives."


def _recomputed(folder: ModelFolder, record: EnsembleRecord, places: Places, data: Any) -> Recomputed:
    given = [] if data is None else list(data) if isinstance(data, list | tuple) else [data]
    ensemble: Ensemble | None = None
    known: dict[str, MemberProbabilities] = {}
    for place, one in enumerate(given, 1):
        if isinstance(one, MemberProbabilities):
            known[f"the predictions {place}"] = one
            continue
        if isinstance(one, PredictionFiles):
            group_by = record.fit.group_by if record.fit is not None else None
            members = {family.name: [member.name for member in family.members] for family in record.families}
            known |= one.read(record.classes, record.columns, group_by, members)
            continue
        if any(member.source == "predictions" for member in record.members):
            raise InputError(
                f"{folder.ref.label}: was made of ready-made predictions; give them with the labels (--predictions NAME=FILE,FILE)."
            )
        ensemble = ensemble or ensemble_in(
            folder, record, members=places.given, token=places.token, cache_dir=places.cache_dir
        )
        held_out = one if isinstance(one, HeldOut) else held_out_like(record, one)
        # Files in two folders may have one name.
        known[held_out.name if held_out.path is None else str(held_out.path)] = ensemble.member_probabilities(held_out)
    return recomputed(record, known)
