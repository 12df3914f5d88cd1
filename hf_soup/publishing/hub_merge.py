"""From a plan to a commit without a folder: each weight file is made, sent and removed before the next one is begun."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.errors import HubError, SoupError
from hf_soup.merging.execute import Progress, fill, lay_out_file
from hf_soup.merging.journal import Finished
from hf_soup.merging.layout import INDEX_NAME
from hf_soup.merging.output import case_problems
from hf_soup.merging.plan import Plan
from hf_soup.merging.portions import portions_of
from hf_soup.merging.produce import Finish, make_record, side_records
from hf_soup.merging.record import FileRecord, SoupRecord
from hf_soup.merging.resume import recorded_roots
from hf_soup.merging.slabs import in_reading_order
from hf_soup.merging.stream import fill_streamed
from hf_soup.progress import say
from hf_soup.publishing.destination import Destination, look_at, prepare, send_ahead
from hf_soup.publishing.push_errors import AGAIN, push_errors
from hf_soup.publishing.pushing import PreparedPush, Warn, prepare_push
from hf_soup.publishing.target import Target
from hf_soup.ranks import ranks

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd


@dataclass(frozen=True)
class HubMerge:
    """A merge whose result is on the Hub and nowhere else.

    `finish` completes record and card as in `hf_soup.merging.merge`; it is called twice, in different folders. `warn` is
    told the same sentence more than once. The other fields are options of `hf_soup.publishing.push`.
    """

    plan: Plan
    target: Target
    finish: Finish
    name_private: bool = False
    license: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    warn: Warn = say

    def rehearse(self) -> None:
        """Makes everything but the weights as it would be published, sends nothing and leaves nothing.

        Raises InputError for whatever would stop the push when the weights are there: licences, tokens, paths and private
        names in files, a place that cannot be pushed to.
        """
        with _scratch_folder(self.target) as folder:
            weights = {file.name: FileRecord(size=file.nbytes) for file in self.plan.layout.files}
            self._write_beside(folder, make_record(self.plan), weights)
            self._prepare(folder)

    def carry_out(self, *, digests: bool = False, progress: Progress = lambda nbytes: None) -> tuple[SoupRecord, str]:
        """Merges, uploads and commits; returns the record and the address of the commit or pull request.

        At most one weight file is in the temporary folder at any time, and nothing after this returns or raises. Nothing
        can be seen on the Hub before the one commit at the end; the same call after an interruption computes again and
        uploads what has not arrived. `digests`: as in `hf_soup.merging.merge`, which raises what this raises, beside
        the errors of a push.
        """
        from huggingface_hub import HfApi

        target = self.target
        with push_errors(target.repo_id):
            place = prepare(look_at(HfApi(token=self.token), target.repo_id, target.revision, target.private))
        finished: Finished = {}
        with _scratch_folder(target) as folder:
            sent = [
                self._send(place, self._make(folder, number, finished, progress), number)
                for number in range(len(self.plan.layout.files))
            ]
            roots = recorded_roots(self.plan, finished)
            weights = {
                operation.path_in_repo: FileRecord(
                    size=operation.upload_info.size, sha256=operation.upload_info.sha256.hex(), root=root
                )
                for operation, root in zip(sent, roots, strict=True)
            }
            record = make_record(self.plan, digests)
            self._write_beside(folder, record, weights)
            # Hours may have passed: what is there now counts, as it does when a finished folder is pushed.
            prepared = self._prepare(folder)
            _refuse_lost(place, prepared.place, sent)
            return record, prepared.send(uploaded=sent, warn=self.warn)

    def _make(self, folder: Path, number: int, finished: Finished, progress: Progress) -> Path:
        """Writes one weight file and notes the checksums of its portions."""
        output = self.plan.layout.files[number]
        portions = in_reading_order(self.plan, [one for one in portions_of(self.plan) if one.file == number])

        def note(index: int, checksums: Sequence[int]) -> None:
            finished[index] = tuple(checksums)

        try:
            lay_out_file(output, folder)
            (fill_streamed if self.plan.streams else fill)(self.plan, folder, portions, note, progress)
        except OSError as error:
            raise SoupError(
                f"Writing {output.name} into the temporary folder failed ({error}); make room, or set TMPDIR to another "
                "folder, and run the command again."
            ) from error
        return folder / output.name

    def _send(self, place: Destination, file: Path, number: int) -> CommitOperationAdd:
        say(f"Uploading {file.name} ({number + 1} of {len(self.plan.layout.files)}) to {place.repo_id}")
        with push_errors(place.repo_id):
            operation = send_ahead(place, file.name, file, self.target.create_pr)
        if not operation.path_or_fileobj:
            file.unlink()
        return operation

    def _write_beside(self, folder: Path, record: SoupRecord, weights: Mapping[str, FileRecord]) -> None:
        """Writes everything that a finished merge has beside its weights, and completes the record."""
        if self.plan.layout.index is not None:
            (folder / INDEX_NAME).write_bytes(self.plan.layout.index)
        record.outputs = {**weights, **side_records(self.plan, folder)}
        self.finish(folder, record)
        record.write(folder)

    def _prepare(self, folder: Path) -> PreparedPush:
        return prepare_push(
            folder,
            self.target,
            uploaded={file.name for file in self.plan.layout.files},
            name_private=self.name_private,
            license=self.license,
            token=self.token,
            cache_dir=self.cache_dir,
            warn=self.warn,
        )


def room_problems(plan: Plan) -> list[str]:
    """Returns why a merge straight to the Hub cannot be done here: several processes, no room for the largest file.

    It also says, as for a folder that is written, when files of the result would overwrite each other.
    """
    problems = []
    if ranks() > 1:
        problems.append(
            f"A merge that goes straight to the Hub is the work of one process, and {ranks()} were started; start it "
            "without the launcher, or write the result to a folder (-o) and push that."
        )
    largest = max((file.nbytes for file in plan.layout.files), default=0)
    place = Path(tempfile.gettempdir())
    if largest > (free := shutil.disk_usage(place).free):
        problems.append(
            f"The temporary folder '{place}' has {free:,} bytes free; {largest:,} are needed for one weight file. Choose a "
            "smaller --shard-size, or set TMPDIR to another folder."
        )
    return [*problems, *case_problems(place / "soup", plan.donor_checkpoint.side_files())]


@contextmanager
def _scratch_folder(target: Target) -> Iterator[Path]:
    """A folder with the name of the repository, by which messages call it; removed with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="hf-soup-") as scratch:
        folder = Path(scratch) / target.repo_id.rpartition("/")[2]
        folder.mkdir()
        yield folder


def _refuse_lost(before: Destination, now: Destination, sent: Sequence[CommitOperationAdd]) -> None:
    """The client leaves a file out of the commit that was on the branch with the same content when it was sent."""
    for operation in sent:
        if before.holds(operation) and not now.holds(operation):
            raise HubError(
                f"{now.repo_id}: {operation.path_in_repo} was removed or replaced by somebody else meanwhile, and nothing "
                f"was changed; {AGAIN}."
            )
