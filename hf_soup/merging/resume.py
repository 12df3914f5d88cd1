"""Going on with an interrupted merge: which of the journalled portions are still there, byte for byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.positioned_file import PositionedFile
from hf_soup.merging.checksums import file_root, stored_checksums
from hf_soup.merging.journal import Finished, read_journal
from hf_soup.merging.output import JOURNALS
from hf_soup.merging.plan import Plan
from hf_soup.merging.portions import Portion, portions_of


def still_there(plan: Plan, folder: Path) -> Finished:
    """Returns the finished portions of all journals whose bytes have the journalled checksums.

    Reading them again costs less than computing them, and finds what a power cut took although the journal has it.
    """
    noted: Finished = {}
    for path in sorted(folder.glob(f"{JOURNALS}*")):
        noted |= read_journal(path)
    with ExitStack() as stack:
        files = [stack.enter_context(PositionedFile(folder / file.name)) for file in plan.layout.files]

        def is_there(portion: Portion) -> bool:
            width = ITEM_SIZE[portion.tensor.info.dtype]
            offset = portion.offset + portion.start * width
            found = stored_checksums(files[portion.file], offset, portion.stop - portion.start, width)
            return tuple(found) == noted[portion.index]

        journalled = [portion for portion in portions_of(plan) if portion.index in noted]
        with ThreadPoolExecutor(plan.workers) as pool:
            kept = pool.map(is_there, journalled)
            return {
                portion.index: noted[portion.index] for portion, there in zip(journalled, kept, strict=True) if there
            }


def recorded_roots(plan: Plan, finished: Finished) -> list[str]:
    """Returns the root of every output file, from the checksums of all portions."""
    sums: list[list[tuple[int, ...]]] = [[] for _ in plan.layout.files]
    for portion in portions_of(plan):
        sums[portion.file].append(finished[portion.index])
    return [file_root(file.header, granules) for file, granules in zip(plan.layout.files, sums, strict=True)]
