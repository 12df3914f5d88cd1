"""Carries out a plan: files are laid out first, and workers fill them in any order."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.positioned_file import PositionedFile
from hf_soup.merging.combination import Combination
from hf_soup.merging.layout import INDEX_NAME
from hf_soup.merging.plan import Plan
from hf_soup.merging.tensors import MergedTensor
from hf_soup.merging.threads import one_torch_thread

if TYPE_CHECKING:
    from torch import Tensor

_TASK_ELEMENTS = 1 << 22  # one worker's portion: long enough to read ahead well, short enough to share work evenly

Progress = Callable[[int], None]


@dataclass(frozen=True)
class _Task:
    tensor: MergedTensor
    file: PositionedFile
    offset: int
    start: int
    stop: int


def write_weights(plan: Plan, folder: Path, progress: Progress = lambda nbytes: None) -> None:
    """Writes all weight files, and the index where there are several, into `folder`.

    `progress` is called with the number of bytes just written, from several threads. Raises NonFiniteWeights with the
    tensor and the model, OSError when the disk is full; the caller removes what was written.
    """
    stop = threading.Event()
    with ExitStack() as stack:
        tasks = list(_lay_out_files(plan, folder, stack))
        combination = plan.combination()
        stack.enter_context(one_torch_thread())
        pool = ThreadPoolExecutor(plan.workers)
        try:
            futures = [pool.submit(_run, task, combination, plan.block_elements, stop, progress) for task in tasks]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        for file in {id(task.file): task.file for task in tasks}.values():
            file.sync()
    if plan.layout.index is not None:
        (folder / INDEX_NAME).write_bytes(plan.layout.index)


def _lay_out_files(plan: Plan, folder: Path, stack: ExitStack) -> Iterator[_Task]:
    tensors = {tensor.info.name: tensor for tensor in plan.tensors}
    for output in plan.layout.files:
        path = folder / output.name
        path.touch()
        file = stack.enter_context(PositionedFile(path, writable=True))
        file.reserve(output.nbytes)
        file.write_at(0, memoryview(output.header))
        for name, offset in output.offsets.items():
            tensor = tensors[name]
            step = _TASK_ELEMENTS if plan.method.elementwise else max(1, tensor.info.numel)
            for start in range(0, tensor.info.numel, step):
                yield _Task(tensor, file, offset, start, min(start + step, tensor.info.numel))


def _run(task: _Task, combination: Combination, block: int, stop: threading.Event, progress: Progress) -> None:
    import torch

    width = ITEM_SIZE[task.tensor.info.dtype]
    step = block if combination.method.elementwise else task.stop - task.start
    with torch.no_grad():
        for start in range(task.start, task.stop, step):
            if stop.is_set():
                return
            merged = combination.span(task.tensor, start, min(start + step, task.stop))
            view = _bytes_of(merged)
            task.file.write_at(task.offset + start * width, view)
            progress(len(view))


def _bytes_of(tensor: Tensor) -> memoryview:
    import torch

    return tensor.view(torch.uint8).numpy().data


def copy_side_files(plan: Plan, folder: Path) -> list[str]:
    """Copies config, tokenizer, processor, template and code files of the donor, byte for byte; returns their paths.

    config.json alone is written anew, and only when the merge changes the dtype that it names.
    """
    import json

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
