"""Whether the members that lie in an ensemble's own repository are the models that its record names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint, PinnedRef, open_checkpoint
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord, MemberRecord
from hf_soup.merging import Ingredients, make_plan
from hf_soup.publishing.places import Places
from hf_soup.publishing.side_comparison import compare_digests, sha256_of
from hf_soup.publishing.tensor_comparison import compare_tensors
from hf_soup.publishing.verdict import Bar, FileVerdict, Verdict


def bundled_ref(folder: ModelFolder, member_folder: str) -> PinnedRef:
    """Returns the place of a bundled member, in the same commit or folder as its ensemble."""
    ref = folder.ref
    if ref.path is not None:
        return replace(ref, path=ref.path / member_folder)
    below = f"{ref.subfolder}/{member_folder}" if ref.subfolder else member_folder
    return replace(ref, subfolder=below)


def exchanged_members(folder: ModelFolder, record: EnsembleRecord) -> list[str]:
    """Returns a sentence for each bundled file that is not the recorded one; nothing is downloaded to find out.

    Of a commit on the Hub sizes are compared, and the digests of large files; of a folder all digests.
    """
    local = folder.ref.path is not None
    known = {
        path: recorded
        for path, recorded in record.outputs.items()
        if path in folder.files and (local or folder.files[path].sha256 is not None)
    }
    rest = {path: one.model_copy(update={"sha256": None}) for path, one in record.outputs.items() if path not in known}
    return [
        f"{found.path} of {folder.ref.label}: {found.finding}; get the folder again from where it comes from."
        for found in compare_digests(folder, {**rest, **known}, ENSEMBLE_RECORD)
    ]


def bundle_findings(
    folder: ModelFolder, record: EnsembleRecord, sources: Mapping[str, StoredCheckpoint], places: Places, progress: Bar
) -> Iterator[FileVerdict]:
    """Yields what is wrong with bundled members. `sources`: the recorded models that could be had, by fingerprint.

    Files of a model that was copied are compared by digest; of adapters and soups, which were computed, every tensor.
    """
    for member in record.members:
        if member.folder is None:
            continue
        models = [sources.get(model.fingerprint) for model in member.models]
        found = [model for model in models if model is not None]
        if len(found) < len(models):
            yield FileVerdict(
                member.folder, f"is a copy of {member.name}, which was not compared with where it came from", False
            )
        elif len(found) == 1 and not isinstance(found[0], AdapterCheckpoint):
            yield from _copied(folder, member, found[0])
        else:
            derived: Checkpoint = found[0] if len(found) == 1 else make_plan(Ingredients(tuple(found))).virtual()
            for model in found:
                model.fetch()
            published = open_checkpoint(
                bundled_ref(folder, member.folder), token=places.token, cache_dir=places.cache_dir
            )
            published.fetch()
            with progress("Comparing", sum(derived.info(name).nbytes for name in derived.names())) as advance:
                tensors = compare_tensors(published, derived, whole_tensors=False, progress=advance)
            wrong = [tensor.name for tensor in tensors if tensor.verdict is not Verdict.IDENTICAL]
            if wrong:
                yield FileVerdict(
                    member.folder,
                    f"has {len(wrong)} tensors that are not those of {member.name}, such as '{wrong[0]}'",
                    True,
                )


def _copied(folder: ModelFolder, member: MemberRecord, source: StoredCheckpoint) -> Iterator[FileVerdict]:
    assert member.folder is not None
    for file in source.weight_files():
        path = f"{member.folder}/{file.path}"
        there = folder.files.get(path)
        if there is None:
            yield FileVerdict(path, f"is missing; {member.name} has it", True)
            continue
        theirs = file.sha256 or sha256_of(source.folder.local_path(file.path))
        if (there.sha256 or sha256_of(folder.local_path(path))) != theirs:
            yield FileVerdict(path, f"is not the file of {member.name} that {ENSEMBLE_RECORD} names", True)
