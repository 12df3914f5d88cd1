"""What of the ingredients must be in memory at one time when they are streamed, and in which order it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint, TensorInfo
from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint, TensorSpan
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.span_stream import CLIENT_CONNECTIONS
from hf_soup.merging.portions import Portion
from hf_soup.merging.tensors import MergedTensor

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
    """Returns the portions as the first streamed checkpoint's files have them, so that few requests bring much."""
    remote = remote_sources(plan.sources)
    if not remote:
        return list(portions)
    first = remote[0]
    files = {path: number for number, path in enumerate(first.weights.paths)}
    places = [place for place, source in enumerate(plan.sources) if remote_of(source) is first]

    def key(portion: Portion) -> tuple[int, int, int]:
        for place in places:
            name = name_in(portion.tensor, place)
            if found := remote_span(plan.sources[place], name, portion.start, portion.stop):
                span = first.span_of(*found)
                return files[span.path], span.offset, portion.index
        return -1, 0, portion.index  # every adapter brings a tensor of its own

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
    if tensor.copied:
        yield plan.donor if plan.donor is not None else base
        return
    yield from range(base)
    if plan.method.needs_base:
        yield base


@dataclass(frozen=True)
class Arrival:
    """What a slab needs of one streamed checkpoint in one piece.

    An adapter's tiles of whole rows reach beyond the slab. So that nothing is requested twice, the first `carried` elements
    are those that the piece before it ended with, and the last `kept` of its own are what the next one begins with.
    """

    span: TensorSpan
    carried: int
    kept: int

    @property
    def numel(self) -> int:
        return self.span[2] - self.span[1]


def arrivals(plan: Plan, slabs: Iterable[Slab], remote: RemoteCheckpoint) -> Iterator[tuple[Arrival, ...]]:
    """Returns for each slab what comes of this checkpoint; mostly one piece, or none."""
    needed = (_needed(plan, slab, remote) for slab in slabs)
    before: TensorSpan | None = None
    for spans, following in pairwise(chain(needed, [()])):
        found = []
        for span, after in pairwise([*spans, following[0] if following else None]):
            assert span is not None
            found.append(Arrival(span, _overlap(before, span), _overlap(span, after)))
            before = span
        if not spans:
            before = None
        yield tuple(found)


def _needed(plan: Plan, slab: Slab, remote: RemoteCheckpoint) -> tuple[TensorSpan, ...]:
    """Adapters of one base ask for the same span of it: each tensor's is there once, as long as the longest."""
    spans: dict[str, tuple[int, int]] = {}
    for place in places_needed(plan, slab.tensor):
        source = plan.sources[place]
        if remote_of(source) is not remote:
            continue
        if found := remote_span(source, name_in(slab.tensor, place), slab.start, slab.stop):
            name, start, stop = found
            known = spans.get(name, (start, stop))
            spans[name] = min(start, known[0]), max(stop, known[1])
    return tuple((name, *span) for name, span in spans.items())


def _overlap(before: TensorSpan | None, span: TensorSpan | None) -> int:
    """Returns how many elements `span` begins with that `before` ends with."""
    if before is None or span is None or before[0] != span[0] or not before[1] <= span[1] < before[2] <= span[2]:
        return 0
    return before[2] - span[1]


def spans_of(plan: Plan, slabs: Iterable[Slab], remote: RemoteCheckpoint) -> list[TensorSpan]:
    """What is requested of a streamed checkpoint, in the order of the slabs, nothing twice."""
    return [
        (arrival.span[0], arrival.span[1] + arrival.carried, arrival.span[2])
        for found in arrivals(plan, slabs, remote)
        for arrival in found
    ]


def remote_of(source: Checkpoint) -> RemoteCheckpoint | None:
    """The checkpoint that a source's bytes are streamed from: itself, or the base of an adapter."""
    root = source.base if isinstance(source, AdapterCheckpoint) else source
    return root if isinstance(root, RemoteCheckpoint) else None


def remote_span(source: Checkpoint, name: str, start: int, stop: int) -> TensorSpan | None:
    """Returns what must be there of `remote_of(source)` to read these elements; None for a tensor that an adapter brings."""
    return source.base_span(name, start, stop) if isinstance(source, AdapterCheckpoint) else (name, start, stop)


def remote_sources(sources: Iterable[Checkpoint]) -> list[RemoteCheckpoint]:
    """The checkpoints that are streamed, each once, however many adapters are read over it."""
    return [*dict.fromkeys(remote for source in sources if (remote := remote_of(source)) is not None)]


def streamed_width(sources: Sequence[StoredCheckpoint], tensor: MergedTensor) -> tuple[int, int]:
    """Returns how many bytes an element of the tensor takes in all streamed checkpoints together, and how many come beside
    the elements of any slab: the rest of rows, at both ends and on their way to the next slab."""
    infos: dict[tuple[RemoteCheckpoint, str], tuple[TensorInfo, bool]] = {}
    for place, source in enumerate(sources):
        remote = remote_of(source)
        found = remote_span(source, name_in(tensor, place), 0, 0) if remote is not None else None
        if remote is not None and found is not None:
            key = remote, found[0]
            _, in_rows = infos.get(key, (None, False))
            infos[key] = remote.info(found[0]), in_rows or isinstance(source, AdapterCheckpoint)
    width = sum(ITEM_SIZE[info.dtype] for info, _ in infos.values())
    rest = sum(3 * info.nbytes // max(1, info.shape[0]) for info, in_rows in infos.values() if in_rows and info.shape)
    return width, rest


def ahead_of(streams: int) -> int:
    """Returns how many requests each of so many streams may open ahead: the client has a number of connections for all."""
    return 1 if 2 * streams < CLIENT_CONNECTIONS else 0


def stream_problems(sources: Sequence[StoredCheckpoint]) -> list[str]:
    """A sentence where there are more checkpoints to stream than the client has connections, or one cannot be streamed."""
    problems = [p for source in sources if isinstance(source, AdapterCheckpoint) for p in source.stream_problems()]
    if (streams := len(remote_sources(sources))) >= CLIENT_CONNECTIONS:
        problems.append(
            f"{streams} models are too many to be streamed at once; merge without streaming, or fewer than {CLIENT_CONNECTIONS}."
        )
    return problems
