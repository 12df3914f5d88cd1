"""From a plan to a complete folder: weights, side files, and the record of how they came about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from hf_soup import __version__
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.merging.execute import Progress, copy_side_files, write_weights
from hf_soup.merging.layout import INDEX_NAME
from hf_soup.merging.output import partial_folder
from hf_soup.merging.plan import Plan
from hf_soup.merging.record import FileRecord, IngredientRecord, SoupRecord

Finish = Callable[[Path, SoupRecord], None]


def merge(
    plan: Plan,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress = lambda nbytes: None,
    finish: Finish = lambda folder, record: None,
) -> SoupRecord:
    """Writes the plan's result to `out` and returns its record, which is also in soup.json.

    `finish` gets the folder, still under its temporary name, and the record, which it may complete, before the record is
    written. Raises InputError for a plan with problems or an output that is in the way, NonFiniteWeights, SoupError
    when writing fails; then nothing is left behind.
    """
    plan.raise_problems()
    for source in plan.sources:
        source.fetch()
    with partial_folder(out, overwrite) as folder:
        write_weights(plan, folder, progress)
        written = [file.name for file in plan.layout.files] + ([INDEX_NAME] if plan.layout.index else [])
        written += copy_side_files(plan, folder)
        record = make_record(plan)
        with ThreadPoolExecutor(plan.workers) as pool:
            records = pool.map(lambda path: _file_record(folder / path), written)
            record.outputs = dict(zip(written, records, strict=True))
        finish(folder, record)
        record.write(folder)
    return record


def make_record(plan: Plan) -> SoupRecord:
    """Returns what soup.json will say of the ingredients and the method; the outputs are not known yet."""
    records = [_digested(source) for source in plan.sources]
    _make_names_unique(records)
    base = records.pop() if plan.base is not None else None
    return SoupRecord(
        hf_soup=__version__,
        method=plan.method.name,
        parameters=plan.parameters,
        ingredients=records,
        base=base,
        donor=plan.donor,
        dtype=plan.dtype,
        shard_bytes=plan.shard_bytes,
        device=plan.device,
    )


def _digested(checkpoint: StoredCheckpoint) -> IngredientRecord:
    """The Hub lists SHA-256 digests; those of a local folder are computed here."""
    record = IngredientRecord.of(checkpoint)
    for path, file in record.files.items():
        if file.sha256 is None and file.git_sha1 is None:
            record.files[path] = _file_record(checkpoint.folder.local_path(path))
    return record


def _make_names_unique(records: list[IngredientRecord]) -> None:
    """Two folders may share their last name, two commits their repository; `verify --ingredient NAME=DIR` tells them apart."""
    taken = {record.name for record in records}
    seen: set[str] = set()
    for record in records:
        if record.name in seen:
            plain = f"{record.name}@{str(record.revision)[:7]}" if record.repo_id else record.name
            candidates = (
                plain if record.repo_id and n == 1 else f"{plain}-{n}" for n in count(1 if record.repo_id else 2)
            )
            record.name = next(name for name in candidates if name not in taken)
            taken.add(record.name)
        seen.add(record.name)


def _file_record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
