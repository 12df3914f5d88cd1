"""How much memory a merge holds at once, and how many workers the budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_soup.checkpoints import AdapterCheckpoint
from hf_soup.checkpoints.adapter_checkpoint import ReadingMemory
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.merging.portions import PORTION_GRANULES
from hf_soup.merging.tensors import MergedTensor
from hf_soup.methods import GRANULE, MergeMethod

_BLOCKS = 14
"""Of the arithmetic's dtype that a worker may hold: one as stored, base, model, sums, masks, the result and its cast."""
_SURVEY_BYTES = 24 * 2**20
_SURVEY_BYTES_OF_A_MODEL = 6 * GRANULE
"""Of one survey beside its blocks, see `hf_soup.methods.blocks`; some hold a granule of every model, and a part of it twice as
wide."""


_NOTHING = ReadingMemory(0, 0, 0)


@dataclass(frozen=True)
class Buffers:
    """`nbytes`: all of them together. Where models are streamed, slabs of at most `slab_elements` elements (None: whole
    tensors) may take `slab_bytes` at a time, see `hf_soup.merging.slabs`."""

    workers: int
    nbytes: int
    problems: tuple[str, ...] = ()
    slab_elements: int | None = None
    slab_bytes: int = 0


def reading_memory(sources: Sequence[StoredCheckpoint]) -> ReadingMemory:
    """What reading the adapters among the sources takes, all of them together."""
    found = [source.memory for source in sources if isinstance(source, AdapterCheckpoint)]
    return ReadingMemory(
        factors=sum(memory.factors for memory in found),
        rows=max((memory.rows for memory in found), default=0),
        kept=sum(memory.kept for memory in found),
    )


def buffers_of(
    method: MergeMethod,
    tensors: Sequence[MergedTensor],
    n_models: int,
    memory_bytes: int,
    workers: int,
    device: str,
    reading: ReadingMemory = _NOTHING,
) -> Buffers:
    """Returns how many of `workers` fit into the budget, and what they hold, where models are read from this disk.

    A worker reads one block of one model after the other, so that its memory depends neither on the size of the tensors
    nor on the number of models, but for the factors of adapters (`reading`). Methods that need whole tensors hold one tensor
    of all models for each worker.
    """
    wide = 8 if any(tensor.double for tensor in tensors) else 4
    largest = max(tensors, key=lambda tensor: tensor.info.numel, default=None)
    if method.elementwise:
        each = _worker_bytes(method, n_models, wide, device)
        need = "one block"
    else:
        each = (largest.info.numel if largest is not None else 0) * (2 * (n_models + 1) * wide + 3 * wide)
        need = (
            f"the tensor '{largest.info.name}', which {method.name} needs whole" if largest is not None else "nothing"
        )
    each += reading.factors + reading.rows
    fitting = min(workers, (memory_bytes - reading.kept) // max(1, each))
    if fitting >= 1:
        return Buffers(fitting, reading.kept + fitting * each)
    least = reading.kept + each
    return Buffers(1, least, (_too_small(memory_bytes, need + _with_adapters(reading), least),))


def stream_buffers_of(
    method: MergeMethod,
    tensors: Sequence[MergedTensor],
    n_models: int,
    widths: Sequence[int],
    memory_bytes: int,
    workers: int,
    device: str,
    stream_bytes: int,
    rest_bytes: int = 0,
    reading: ReadingMemory = _NOTHING,
) -> Buffers:
    """The same where models are streamed. `widths`: for each tensor, what an element of it takes in all streamed models;
    `stream_bytes`: what the connections hold themselves; `rest_bytes`: what a slab may have beside its elements.

    Methods that take one look at a tensor get slabs of a portion or less, so that any number of models of any size fits;
    the others need a whole tensor of all models in memory, since the network is not read twice.
    """
    wide = 8 if any(tensor.double for tensor in tensors) else 4
    beside = reading.factors + reading.rows
    each = _worker_bytes(method, n_models, wide, device) + beside
    stream_bytes += reading.kept
    if method.survey is not None or not method.elementwise:
        sizes = {t.info.name: t.info.numel * width for t, width in zip(tensors, widths, strict=True)}
        name = max(sizes, key=lambda name: sizes[name], default="")
        slab, elements, need = (
            sizes.get(name, 0) + rest_bytes,
            None,
            f"'{name}', which {method.name} needs whole when it is streamed",
        )
        if not method.elementwise:
            each = max((t.info.numel * (2 * (n_models + 1) + 3) * wide for t in tensors), default=0) + beside
    else:
        width = max(widths, default=1)
        room = memory_bytes - _margin(memory_bytes) - stream_bytes - workers * each
        # One slab for each worker, one that is arriving, one that waits: so nobody waits for memory.
        fitting = (room - (workers + 2) * rest_bytes) // max(1, (workers + 2) * width)
        longest = -(-max((tensor.info.numel for tensor in tensors), default=1) // GRANULE)
        elements = GRANULE * max(1, min(PORTION_GRANULES, longest, fitting // GRANULE))
        slab, need = elements * width + rest_bytes, "one block of every model"
    fixed = stream_bytes + slab
    fitting = min(workers, (memory_bytes - fixed) // max(1, each))
    if fitting < 1:
        problem = _too_small(memory_bytes, need + _with_adapters(reading), fixed + each)
        return Buffers(1, fixed + each, (problem,), elements, slab)
    # The rest of the budget lets more slabs be on their way.
    spare = max(0, min(memory_bytes - _margin(memory_bytes) - fixed - fitting * each, (fitting + 3) * slab))
    return Buffers(fitting, fixed + spare + fitting * each, (), elements, slab + spare)


def _margin(memory_bytes: int) -> int:
    """What the allocator keeps beside large blocks that come and go; up to a ninth of the budget was seen."""
    return memory_bytes // 8


def _worker_bytes(method: MergeMethod, n_models: int, wide: int, device: str) -> int:
    elements = GRANULE if device == "cpu" else GRANULE * PORTION_GRANULES
    return elements * _BLOCKS * wide + _survey_bytes(method, n_models, wide)


def _survey_bytes(method: MergeMethod, n_models: int, wide: int) -> int:
    return _SURVEY_BYTES + n_models * _SURVEY_BYTES_OF_A_MODEL * (wide // 4) if method.survey is not None else 0


def _with_adapters(reading: ReadingMemory) -> str:
    return " and the factors of one module of every adapter" if reading.factors else ""


def _too_small(memory_bytes: int, need: str, nbytes: int) -> str:
    return f"The memory budget of {memory_bytes:,} bytes is too small for {need}; give at least --memory {nbytes:,}."
