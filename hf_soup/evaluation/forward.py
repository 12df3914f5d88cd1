"""Running a model over all rows: in sorted batches, over all processes, in the largest batches that fit.

Which rows share a batch depends on the data alone (and on the batch size): padding and batch size can change the last bit of
a result, so every candidate, and the published model after it, must be run in the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from hf_soup.errors import SoupError
from hf_soup.evaluation.hardware import Hardware, Outputs
from hf_soup.evaluation.row_bar import row_bar
from hf_soup.evaluation.task import Encoded, Task


def batches(lengths: Sequence[int], ids: Sequence[str], size: int) -> list[list[int]]:
    """Splits row numbers into batches, longest rows first, so that a batch that does not fit fails at once.

    Rows of one length are sorted by their content: the order of the data's rows changes no batch.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], ids[row]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def run_rows(
    task: Task, model: Any, encoded: Encoded, ids: Sequence[str], size: int, hardware: Hardware, title: str
) -> tuple[Outputs, int]:
    """Returns (the outputs of all rows in their order, the same in every process; the batch size that was used)."""
    if encoded.most_rows is not None:
        size = min(size, encoded.most_rows)
    while True:
        parts, fitted = _fitting(
            size, lambda size: _run_share(task, model, encoded, batches(encoded.lengths, ids, size), hardware, title)
        )
        smallest = min(hardware.gather(fitted))
        if smallest == fitted and len(set(hardware.gather(fitted))) == 1:
            break
        size = smallest  # some process has less memory: all repeat with its batches, or rows would be left out
    gathered = [part for of_process in hardware.gather(parts) for part in of_process]
    return _in_order(gathered, len(ids)), fitted


def _fitting(size: int, run: Callable[[int], Any]) -> tuple[Any, int]:
    """Runs with the first batch size, from `size` down, that does not exhaust memory; returns (result, that size)."""
    from accelerate.utils import find_executable_batch_size
    from accelerate.utils.memory import should_reduce_batch_size

    try:  # the search begins with a garbage collection, which would cost more than a small model's batch
        return run(size), size
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        if size == 1:
            raise SoupError("The model with a single row does not fit into memory.") from error
    tried = []

    @find_executable_batch_size(starting_batch_size=int(size * 0.9))
    def attempt(batch_size: int) -> Any:
        tried.append(batch_size)
        return run(batch_size)

    return attempt(), tried[-1]


def _run_share(
    task: Task, model: Any, encoded: Encoded, all_batches: list[list[int]], hardware: Hardware, title: str
) -> list[tuple[list[int], Outputs]]:
    """Runs every n-th batch on this one of n processes."""
    import torch

    mine = all_batches[hardware.rank :: hardware.processes]
    dtype = next(model.parameters()).dtype
    bar = row_bar(title, sum(map(len, mine))) if hardware.is_main else nullcontext(lambda rows: None)

    def run(rows: list[int]) -> tuple[list[int], Outputs]:
        with torch.inference_mode(), hardware.autocast():  # both hold for one thread only
            inputs = {
                name: tensor.to(hardware.device, dtype if tensor.is_floating_point() else None)
                for name, tensor in encoded.batch(rows).items()
            }
            outputs = task.forward(model, inputs)
        advance(len(rows))
        return rows, outputs

    with bar as advance, hardware.workers() as workers:
        return list(workers.map(run, mine))


def _in_order(parts: list[tuple[list[int], Outputs]], rows: int) -> Outputs:
    outputs: Outputs = {}
    for indices, part in parts:
        for name, values in part.items():
            if name not in outputs:
                outputs[name] = np.empty((rows, *values.shape[1:]), values.dtype)
            outputs[name][indices] = values
    return outputs
