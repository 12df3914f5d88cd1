"""What lies beside the tensors: config, tokenizer and code against the donor's, the weight files' layout, the digests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.dtypes import FLOATING, name_of
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.side_files import side_files
from hf_soup.checkpoints.weight_files import SAFETENSORS_INDEX
from hf_soup.merging.checksums import root_of
from hf_soup.merging.layout import INDEX_NAME, lay_out
from hf_soup.merging.record import RECORD_NAME, FileRecord, SoupRecord
from hf_soup.publishing.strays import loads_as_weights, loads_beside_weights, strays, unchecked_weights
from hf_soup.publishing.verdict import FileVerdict

_DTYPE_FIELDS = {"dtype", "torch_dtype"}
# transformers overwrites it with the place that a model is loaded from; a merge leaves the donor's away.
_IGNORED_FIELDS = {*_DTYPE_FIELDS, "_name_or_path"}


def compare_side_files(published: ModelFolder, donor: StoredCheckpoint, derived: Checkpoint) -> list[FileVerdict]:
    """Returns the files that are not the donor's. config.json may name the dtype of the derived tensors instead."""
    wanted, there = donor.side_files(), side_files(published)
    dtype = _floating_dtype(derived)
    theirs = donor.side_folder()
    ours = published.fetch([path for path in there if path in wanted])
    verdicts = []
    for path in wanted:
        if path not in there:
            verdicts.append(FileVerdict(path, f"is missing; {donor.label} has it", True))
        elif not _same(path, (ours / path).read_bytes(), (theirs / path).read_bytes(), dtype):
            verdicts.append(FileVerdict(path, f"differs from that of {donor.label}, where it was taken from", True))
    extra = [path for path in strays(published.files, wanted) if loads_beside_weights(path)]
    return verdicts + [FileVerdict(path, f"was added; {donor.label} has no such file", True) for path in extra]


def compare_layout(published: StoredCheckpoint, derived: Checkpoint, record: SoupRecord) -> list[FileVerdict]:
    """Returns weight files that are not laid out as the record says, and files that a loader might take for weights.

    With an equal header and equal tensors a file is equal byte for byte: the format leaves no holes.
    """
    layout = lay_out([derived.info(name) for name in derived.names()], record.shard_bytes)
    expected = {file.name: file for file in layout.files}
    there = published.folder.files
    verdicts = []
    for name, file in expected.items():
        if name not in there:
            verdicts.append(FileVerdict(name, "is missing: the tensors are distributed over other files", True))
        elif published.folder.read_head(name, len(file.header)) != file.header:
            verdicts.append(FileVerdict(name, "has another header than the recorded merge writes", True))
    if layout.index is not None and INDEX_NAME in there:
        index = published.folder.local_path(INDEX_NAME).read_bytes()
        if index != layout.index:
            verdicts.append(FileVerdict(INDEX_NAME, "is not the index that the recorded merge writes", True))
    known = {*expected, *([SAFETENSORS_INDEX] if layout.index is not None else [])}
    strangers = [path for path in strays(there, known) if loads_as_weights(path)]
    return [
        *verdicts,
        *(FileVerdict(path, "does not come from the recorded merge, and may be loaded", True) for path in strangers),
        *(
            FileVerdict(path, "is not a part of the merge and was not checked", False)
            for path in unchecked_weights(there, known)
        ),
    ]


def compare_digests(
    published: ModelFolder, outputs: Mapping[str, FileRecord], record: str = RECORD_NAME
) -> Iterator[FileVerdict]:
    """Yields the files whose size or digest is not the one in the record. `outputs`: what it lists, by path."""
    for path, recorded in sorted(outputs.items()):
        found = published.files.get(path)
        if found is None:
            yield FileVerdict(path, f"is missing, {record} lists it", True)
        elif found.size != recorded.size or not _digest_agrees(published, path, recorded):
            yield FileVerdict(path, f"has another digest than {record} says", True)


def _digest_agrees(folder: ModelFolder, path: str, recorded: FileRecord) -> bool:
    if recorded.root is not None and root_of(folder.local_path(path)) != recorded.root:
        return False
    known = folder.files[path].sha256
    return recorded.sha256 is None or recorded.sha256 == (known or sha256_of(folder.local_path(path)))


def sha256_of(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same(path: str, ours: bytes, theirs: bytes, dtype: str | None) -> bool:
    if ours == theirs:
        return True
    if path != "config.json":
        return False
    try:
        published, donor = json.loads(ours), json.loads(theirs)
    except ValueError:
        return False
    if not isinstance(published, dict) or not isinstance(donor, dict):
        return False
    renamed = all(published[field] in (dtype, donor.get(field)) for field in _DTYPE_FIELDS & set(published))
    return renamed and _compared(published) == _compared(donor)


def _compared(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _IGNORED_FIELDS}


def _floating_dtype(derived: Checkpoint) -> str | None:
    """The dtype of all floating tensors as config.json writes it; None where they have several."""
    codes = {derived.info(name).dtype for name in derived.names()} & set(FLOATING)
    return name_of(codes.pop()) if len(codes) == 1 else None
