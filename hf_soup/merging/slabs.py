"""What of the ingredients must be in memory at one time when they are streamed, and in which order it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint, TensorSpan
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.span_stream import CLIENT_CONNECTIONS
from hf_soup.merging.portions import Portion
from hf_soup.merging.tensors import MergedTensor, Rule

if TYPE_CHECKING:
    from hf_soup.merging.plan import Plan


@dataclass(frozen=True)
class Slab:
    """Elements [start, stop) of a tensor, of every model that takes part, and the portions that are made of them."""

    tensor: MergedTensor
    start: int
    stop: int
    portions: tuple[Portion, ...]


def in_reading_order(plan: Plan, portions: Sequence[Portion]) -> list[Portion]:
    """Returns the portions as the first streamed model's files have them, so that few requests bring much."""
    remote = remote_sources(plan.sources)
    if not remote:
        return list(portions)
    place, source = remote[0]
    files = {path: number for number, path in enumerate(source.weights.paths)}

    def key(portion: Portion) -> tuple[int, int, int]:
        span = source.span_of(name_in(portion.tensor, place), portion.start, portion.stop)
        return files[span.path], span.offset, portion.index

    return sorted(portions, key=key)


def slabs_of(plan: Plan, portions: Sequence[Portion]) -> list[Slab]:
    """Cuts the work into slabs that the plan's buffers hold: parts of portions, or whole tensors where a method needs them."""
    slabs: list[Slab] = []
    if plan.slab_elements is None:  # a method that looks twice: the network is not read twice
        groups: dict[str, list[Portion]] = {}
        for portion in portions:
            groups.setdefault(portion.tensor.info.name, []).append(portion)
        return [Slab(group[0].tensor, 0, group[0].tensor.info.numel, tuple(group)) for group in groups.values()]
    for portion in portions:
        for start in range(portion.start, portion.stop, plan.slab_elements):
            stop = min(start + plan.slab_elements, portion.stop)
            slabs.append(Slab(portion.tensor, start, stop, (portion,)))
    return slabs


def name_in(tensor: MergedTensor, place: int) -> str:
    """The tensor's name in source number `place`, the base being the one after the models."""
    return tensor.sources[place] if place < len(tensor.sources) else str(tensor.base_source)


def places_needed(plan: Plan, tensor: MergedTensor) -> Iterator[int]:
    """Which of the plan's sources give something to the tensor."""
    base = len(plan.models)
    if tensor.rule is Rule.COPY:
        yield plan.donor if plan.donor is not None else base
        return
    yield from range(base)
    if plan.method.needs_base:
        yield base


def streamed_bytes(plan: Plan, slab: Slab) -> int:
    """What a slab holds while it is in memory."""
    return sum(
        (slab.stop - slab.start) * ITEM_SIZE[source.info(name_in(slab.tensor, place)).dtype]
        for place in places_needed(plan, slab.tensor)
        if (source := plan.sources[place]).streams
    )


def spans_of(plan: Plan, slabs: Sequence[Slab], place: int) -> list[TensorSpan]:
    """What source number `place` gives, in the order of the slabs."""
    return [
        (name_in(slab.tensor, place), slab.start, slab.stop)
        for slab in slabs
        if place in places_needed(plan, slab.tensor)
    ]


def remote_sources(sources: Sequence[StoredCheckpoint]) -> list[tuple[int, RemoteCheckpoint]]:
    return [(place, source) for place, source in enumerate(sources) if isinstance(source, RemoteCheckpoint)]


def ahead_of(streams: int) -> int:
    """Returns how many requests each of so many streams may open ahead: the client has a number of connections for all."""
    return 1 if 2 * streams < CLIENT_CONNECTIONS else 0


def stream_problems(streams: int) -> list[str]:
    """A sentence where there are more models to stream than the client has connections."""
    if streams < CLIENT_CONNECTIONS:
        return []
    return [
        f"{streams} models are too many to be streamed at once; merge without streaming, or fewer than {CLIENT_CONNECTIONS}."
    ]
