"""From a plan to a complete folder: weights, side files, and the record of how they came about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, count
from pathlib import Path

from hf_soup import __version__
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError, NonFiniteWeights, SoupError
from hf_soup.merging.execute import Progress, copy_side_files, fill, lay_out_files
from hf_soup.merging.journal import Finished, Journal
from hf_soup.merging.layout import INDEX_NAME
from hf_soup.merging.output import FAILED, JOURNALS, partial_folder
from hf_soup.merging.plan import Plan
from hf_soup.merging.portions import Portion, portions_of, share, unfinished
from hf_soup.merging.positions import positions_as_text
from hf_soup.merging.record import FileRecord, IngredientRecord, SoupRecord
from hf_soup.merging.resume import recorded_roots, still_there
from hf_soup.merging.slabs import in_reading_order
from hf_soup.merging.stream import fill_streamed
from hf_soup.progress import phase, say
from hf_soup.ranks import gather, is_main_process, on_main_process, rank, ranks, transportable

Finish = Callable[[Path, SoupRecord], None]


class _OtherProcessFailed(SoupError):
    """This process stopped because another one had failed."""


def merge(
    plan: Plan,
    out: Path,
    *,
    overwrite: bool = False,
    fresh: bool = False,
    digests: bool = False,
    progress: Progress = lambda nbytes: None,
    finish: Finish = lambda folder, record: None,
) -> SoupRecord:
    """Writes the plan's result to `out` and returns its record, which is also in soup.json.

    An interrupted merge of the same plan into the same folder is gone on with, unless `fresh`. Under a launcher every
    process calls this with the same plan and writes its share; the main one finishes. `digests`: record the SHA-256 of
    local ingredients, which takes longer than the merge. `finish` gets, in the main process, the folder under its temporary
    name, and the record, which it may complete before it is written.

    Raises InputError for a plan with problems or an output that is in the way, and NonFiniteWeights: then nothing is left
    behind. SoupError when writing fails or another process has ended, KeyboardInterrupt: then the same call goes on.
    """
    plan.raise_problems()
    _refuse_different_plans(plan)
    on_main_process(lambda: fetch(plan.sources))
    fetch(plan.sources)  # for a process on a machine with a cache of its own
    with ExitStack() as stack:

        def enter() -> tuple[Path, Finished]:
            folder, begun = stack.enter_context(partial_folder(out, plan.identity(), overwrite=overwrite, fresh=fresh))
            (folder / FAILED).unlink(missing_ok=True)
            lay_out_files(plan, folder)
            return folder, still_there(plan, folder) if begun else {}

        folder, done = on_main_process(enter)
        if done and is_main_process():
            say(f"Going on with {folder.name}: {len(done)} of {len(portions_of(plan))} portions are there.")
        portions = in_reading_order(plan, portions_of(plan))
        progress(sum(portion.nbytes for portion in portions if portion.index in done) // ranks())
        finished = {**done, **_write_share(plan, folder, unfinished(portions, done), progress)}
        return on_main_process(lambda: _complete(plan, folder, finished, digests, finish, stack))


def _refuse_different_plans(plan: Plan) -> None:
    """Every process looks references up itself: a branch may move in between, a folder be another one on another machine."""
    identity = plan.identity()
    identity["ingredients"] = [model.fingerprint for model in plan.models]  # times of change differ between copies
    identity["base model"] = plan.base.fingerprint if plan.base is not None else None
    seen = gather(json.dumps(identity, sort_keys=True))
    if different := [str(number) for number, one in enumerate(seen) if one != seen[0]]:
        raise InputError(
            f"The processes of this run do not see the same models or settings (process {', '.join(different)} and process 0 "
            "differ); name commits instead of branches, and folders that all of them share."
        )


def fetch(sources: Sequence[StoredCheckpoint]) -> None:
    """Brings the weights to this disk; what is there already costs nothing."""
    for source in sources:
        source.fetch()


def _write_share(plan: Plan, folder: Path, portions: Sequence[Portion], progress: Progress) -> Finished:
    """Writes this process's share of the portions; returns what all processes have written."""
    mine = share(portions, rank(), ranks(), keep_tensors_whole=plan.method.survey is not None)
    finished: Finished = {}
    failure: Exception | None = None
    with Journal(folder / f"{JOURNALS}{rank()}") as journal:

        def note(index: int, checksums: Sequence[int]) -> None:
            journal.append(index, checksums)
            finished[index] = tuple(checksums)

        def check() -> None:
            if ranks() > 1 and (folder / FAILED).exists():
                raise _OtherProcessFailed

        try:
            (fill_streamed if plan.streams else fill)(plan, folder, mine, note, progress, check)
        except Exception as error:  # the other processes must hear of it before it goes on its way
            if ranks() == 1:
                raise
            failure = error
            with suppress(OSError):  # it may be the disk that failed; the others hear of it below
                (folder / FAILED).touch()
    own = failure if not isinstance(failure, _OtherProcessFailed) else None
    outcomes = gather((finished, transportable(own) if own is not None else None))
    if own is not None:
        raise own
    failed = {number: error for number, (_, error) in enumerate(outcomes) if error is not None}
    for problem in failed.values():
        if isinstance(problem, NonFiniteWeights | InputError):
            raise problem
    if failed:
        said = "; ".join(f"process {number}: {type(one).__name__}: {one}" for number, one in failed.items())
        raise SoupError(f"Another process of this merge failed ({said}).")
    return {index: sums for part, _ in outcomes for index, sums in part.items()}


def _complete(
    plan: Plan, folder: Path, finished: Finished, digests: bool, finish: Finish, stack: ExitStack
) -> SoupRecord:
    phase("finishing")
    record = make_record(plan, digests)
    roots = recorded_roots(plan, finished)
    record.outputs = {
        **{
            file.name: FileRecord(size=file.nbytes, root=root)
            for file, root in zip(plan.layout.files, roots, strict=True)
        },
        **side_records(plan, folder),
    }
    finish(folder, record)
    record.write(folder)
    stack.close()  # syncs and renames
    return record


def side_records(plan: Plan, folder: Path) -> dict[str, FileRecord]:
    """Copies the side files into the folder; returns their records, and that of the index, which lies there already."""
    paths = copy_side_files(plan, folder) + ([INDEX_NAME] if plan.layout.index else [])
    return {path: file_record(folder / path) for path in paths}


def make_record(plan: Plan, digests: bool = False) -> SoupRecord:
    """Returns what soup.json will say of the ingredients and the method; the outputs are not known yet.

    `digests`: with the SHA-256 of local weight files; those of the Hub are in its listing.
    """
    records = [_digested(source) if digests else IngredientRecord.of(source) for source in plan.sources]
    make_names_unique(records)
    base = records.pop() if plan.base is not None else None
    return SoupRecord(
        hf_soup=__version__,
        method=plan.method.name,
        parameters=plan.parameters.to_json() if plan.parameters is not None else {},
        ingredients=records,
        base=base,
        donor=plan.donor,
        shared=positions_as_text(place for place, tensor in enumerate(plan.tensors) if tensor.shared),
        dtype=plan.dtype,
        shard_bytes=plan.shard_bytes,
        device=plan.device,
    )


def _digested(checkpoint: StoredCheckpoint) -> IngredientRecord:
    """The Hub lists SHA-256 digests; those of a local folder are computed here."""
    record = IngredientRecord.of(checkpoint)
    for path, file in record.files.items():
        if file.sha256 is None and file.git_sha1 is None:
            record.files[path] = file_record(checkpoint.folder.local_path(path))
    return record


def make_names_unique(records: list[IngredientRecord]) -> None:
    """Two folders may share their last name, two commits their repository; `verify --ingredient NAME=DIR` tells them apart.

    A model that several adapters have as their base keeps one name, also where it is an ingredient itself.
    """
    taken = {record.name for record in records}
    seen: set[str] = set()
    for record in records:
        if record.name in seen:
            record.name = next(name for name in _other_names(record) if name not in taken)
            taken.add(record.name)
        seen.add(record.name)
    models = {record.name: _model(record) for record in records}
    for base in (record.adapter_of for record in records if record.adapter_of is not None):
        names = chain([base.name], _other_names(base))
        base.name = next(name for name in names if models.setdefault(name, _model(base)) == _model(base))


def _other_names(record: IngredientRecord) -> Iterator[str]:
    """Further names for a model whose own is another's."""
    plain = record.name
    if record.repo_id:
        plain = f"{record.name}@{str(record.revision)[:7]}"
        yield plain
    yield from (f"{plain}-{number}" for number in count(2))


def _model(record: IngredientRecord) -> tuple[str | None, ...]:
    """Equal for records of one model in one place, whatever they call it."""
    return record.repo_id, record.revision, record.subfolder, record.fingerprint


def file_record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
