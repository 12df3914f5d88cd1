"""Carries out a plan on this machine: the files are laid out first, and workers fill them in any order."""

from __future__ import annotations

import json
import shutil
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.positioned_file import PositionedFile
from hf_soup.merging.checksums import granule_checksum
from hf_soup.merging.combination import Combination
from hf_soup.merging.freed_memory import keep_freed_memory
from hf_soup.merging.layout import INDEX_NAME, OutputFile
from hf_soup.merging.plan import Plan
from hf_soup.merging.portions import Portion, portions_of
from hf_soup.merging.sources import Interrupted, TensorSources
from hf_soup.merging.tensors import MergedTensor
from hf_soup.merging.threads import one_torch_thread
from hf_soup.methods.blocks import GRANULE

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int], None]
"""Gets the number of bytes just written; called from several threads."""
Finish = Callable[[int, Sequence[int]], None]
"""Gets the index of a portion that is written and the checksums of its granules."""
Check = Callable[[], None]


def write_weights(plan: Plan, folder: Path, progress: Progress = lambda nbytes: None) -> None:
    """Writes all weight files, and the index where there are several, into `folder`, which has none of them yet.

    Raises what `fill` raises; the caller removes what was written.
    """
    lay_out_files(plan, folder)
    fill(plan, folder, portions_of(plan), lambda index, checksums: None, progress)


def lay_out_files(plan: Plan, folder: Path) -> None:
    """Makes every weight file in its final size with its header, and the index. Files that are there already stay."""
    for output in plan.layout.files:
        lay_out_file(output, folder)
    if plan.layout.index is not None:
        (folder / INDEX_NAME).write_bytes(plan.layout.index)


def lay_out_file(output: OutputFile, folder: Path) -> None:
    path = folder / output.name
    path.touch()
    with PositionedFile(path, writable=True) as file:
        file.reserve(output.nbytes)
        file.write_at(0, memoryview(output.header))


def open_files(plan: Plan, folder: Path, portions: Sequence[Portion], stack: ExitStack) -> dict[int, PositionedFile]:
    """Opens the files that these portions lie in, by their numbers in the layout."""
    numbers = dict.fromkeys(portion.file for portion in portions)
    return {n: stack.enter_context(PositionedFile(folder / plan.layout.files[n].name, writable=True)) for n in numbers}


def fill(
    plan: Plan,
    folder: Path,
    portions: Sequence[Portion],
    finish: Finish,
    progress: Progress,
    check: Check = lambda: None,
) -> None:
    """Computes these portions and writes them into their files, which were laid out.

    `check` is called several times a second, and ends the work by raising. Raises NonFiniteWeights with the tensor and the model, OSError when the disk fails, KeyboardInterrupt when the user
    stops it, after at most the granules that the workers are at; what was finished stays.
    """
    with ExitStack() as stack:
        files = open_files(plan, folder, portions, stack)
        writer = Writer(plan.combination(), files, finish, progress)
        work = _Work(portions, plan.method.survey is not None)
        stack.enter_context(one_torch_thread())
        keep_freed_memory()
        pool = ThreadPoolExecutor(plan.workers)
        try:
            futures = [pool.submit(_labour, work, writer) for _ in range(plan.workers)]
            pending = set(futures)
            while pending:
                # Waiting for ever would keep Ctrl-C from this thread on some systems.
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                check()
        finally:
            writer.stop.set()
            work.abandon()
            pool.shutdown(wait=True, cancel_futures=True)


class Writer:
    """Computes portions and writes them. `stop`: set to make it leave the portion that it is at."""

    def __init__(
        self, combination: Combination, files: Mapping[int, PositionedFile], finish: Finish, progress: Progress
    ) -> None:
        self.combination = combination
        self.stop = threading.Event()
        self._files = files
        self._finish = finish
        self._progress = progress
        self._parts: dict[int, dict[int, list[int]]] = {}
        self._parts_lock = threading.Lock()

    def write(self, portion: Portion, sources: TensorSources, survey: Any) -> None:
        """Writes a portion and reports it as finished, unless it was stopped."""
        checksums = self._write_span(portion, portion.start, portion.stop, sources, survey)
        if checksums is not None:
            self._finish(portion.index, checksums)

    def write_part(self, portion: Portion, start: int, stop: int, sources: TensorSources, survey: Any) -> None:
        """Writes elements [start, stop) of a portion, and reports it as finished when all of them are written."""
        checksums = self._write_span(portion, start, stop, sources, survey)
        if checksums is None:
            return
        with self._parts_lock:
            parts = self._parts.setdefault(portion.index, {})
            parts[start] = checksums
            if sum(map(len, parts.values())) < len(list(portion.granules())):
                return
            del self._parts[portion.index]
        self._finish(portion.index, [checksum for _, part in sorted(parts.items()) for checksum in part])

    def _write_span(
        self, portion: Portion, start: int, stop: int, sources: TensorSources, survey: Any
    ) -> list[int] | None:
        """Returns the checksums of the granules; None when it was stopped on the way."""
        width = ITEM_SIZE[portion.tensor.info.dtype]
        file = self._files[portion.file]
        checksums = []
        step = self._step(portion, stop - start)
        for first in range(start, stop, step):
            if self.stop.is_set():
                return None
            last = min(first + step, stop)
            content = bytes_of(self.combination.block(portion.tensor, sources, first, last, survey))
            file.write_at(portion.offset + first * width, content)
            checksums += granule_checksums(content, width)
            self._progress(len(content))
        return checksums

    def _step(self, portion: Portion, span: int) -> int:
        """Elements of a block: few on a CPU, whose caches they fit; all on a GPU, and for methods that need all."""
        combined = not portion.tensor.copied
        if combined and (self.combination.device != "cpu" or not self.combination.method.elementwise):
            return span
        return GRANULE


class _Work:
    """Hands out portions. Where tensors are surveyed first, a worker that finds no surveyed tensor surveys the next one."""

    def __init__(self, portions: Sequence[Portion], surveyed: bool) -> None:
        self._changed = threading.Condition()
        self._ready: deque[tuple[Portion, Any]] = deque()
        self._waiting: deque[list[Portion]] = deque()
        self._surveys_under_way = 0
        self._abandoned = False
        if not surveyed:
            self._ready.extend((portion, None) for portion in portions)
            return
        groups: dict[str, list[Portion]] = {}
        for portion in portions:
            groups.setdefault(portion.tensor.info.name, []).append(portion)
        # The largest first, so that no worker is left alone with one of them at the end.
        largest = sorted(groups.values(), key=lambda group: -group[0].tensor.info.numel)
        self._waiting.extend(largest)

    def next(self) -> tuple[Portion, Any] | list[Portion] | None:
        """A portion with its survey, or the portions of a tensor to be surveyed, or None when nothing is left."""
        with self._changed:
            while True:
                if self._abandoned:
                    return None
                if self._ready:
                    return self._ready.popleft()
                if self._waiting:
                    self._surveys_under_way += 1
                    return self._waiting.popleft()
                if not self._surveys_under_way:
                    return None
                self._changed.wait()

    def surveyed(self, portions: Sequence[Portion], survey: Any) -> None:
        with self._changed:
            self._surveys_under_way -= 1
            self._ready.extend((portion, survey) for portion in portions)
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()


def _labour(work: _Work, writer: Writer) -> None:
    import torch

    combination = writer.combination
    sources: dict[str, TensorSources] = {}  # of the tensor at hand: its buffers are used for all its portions

    def sources_of(tensor: MergedTensor) -> TensorSources:
        if tensor.info.name not in sources:
            sources.clear()
            sources[tensor.info.name] = combination.sources(tensor)
        return sources[tensor.info.name]

    try:
        with torch.no_grad(), combination.stream():
            while (task := work.next()) is not None:
                if isinstance(task, list):
                    tensor = task[0].tensor
                    work.surveyed(task, combination.survey(tensor, sources_of(tensor), writer.stop))
                    continue
                portion, survey = task
                _announce(portion, combination)
                writer.write(portion, sources_of(portion.tensor), survey)
    except Interrupted:
        return
    except BaseException:
        writer.stop.set()
        work.abandon()  # a worker that waits for the survey of this one would wait for ever
        raise


def _announce(portion: Portion, combination: Combination) -> None:
    """Lets the system read ahead from the disk; costs microseconds where the files are in memory already."""
    tensor = portion.tensor
    named = [*zip(combination.models, tensor.sources, strict=True)]
    if combination.base is not None:
        named.append((combination.base, str(tensor.base_source)))
    for checkpoint, name in named:
        checkpoint.will_read(name, portion.start, portion.stop)


def bytes_of(tensor: Tensor) -> memoryview:
    import torch

    return tensor.view(torch.uint8).numpy().data


def granule_checksums(content: memoryview, width: int) -> list[int]:
    """Returns the checksums of consecutive granules of elements of `width` bytes."""
    step = GRANULE * width
    return [granule_checksum(content[start : start + step]) for start in range(0, len(content), step)]


def copy_side_files(plan: Plan, folder: Path) -> list[str]:
    """Copies config, tokenizer, processor, template and code files of the donor, byte for byte; returns their paths.

    config.json alone is written anew, and only when the merge changes the dtype that it names.
    """
    donor = plan.donor_checkpoint
    source = donor.side_folder()
    paths = donor.side_files()
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        config = plan.output_config()
        if path == "config.json" and config != donor.config:
            target.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        else:
            shutil.copyfile(source / path, target)
    return paths
