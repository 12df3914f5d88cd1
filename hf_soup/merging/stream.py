"""Carries out a plan whose ingredients come over the network: what arrives is combined, written and forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hf_soup.checkpoints.dtypes import ITEM_SIZE, torch_dtype
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.span_stream import SpanStream
from hf_soup.merging.combination import Combination
from hf_soup.merging.execute import Check, Finish, Progress, Writer, open_files
from hf_soup.merging.freed_memory import keep_freed_memory
from hf_soup.merging.plan import Plan
from hf_soup.merging.portions import Portion
from hf_soup.merging.slabs import Arrival, Slab, ahead_of, arrivals, name_in, remote_sources, slabs_of, spans_of
from hf_soup.merging.sources import Interrupted, Read, TensorSources
from hf_soup.merging.threads import one_torch_thread

if TYPE_CHECKING:
    from torch import Tensor


def fill_streamed(
    plan: Plan,
    folder: Path,
    portions: Sequence[Portion],
    finish: Finish,
    progress: Progress,
    check: Check = lambda: None,
) -> None:
    """Computes these portions from streams and writes them into the files that were laid out.

    One thread per streamed checkpoint reads its bytes in order, once for all adapters over it, and as many slabs are in memory
    as the plan's budget allows.
    Raises what `fill` raises, and HubError when the network fails for good; what was finished stays.
    """
    slabs = slabs_of(plan, portions)
    with ExitStack() as stack:
        files = open_files(plan, folder, portions, stack)
        remote = remote_sources(plan.sources)
        streams = {
            source: stack.enter_context(source.span_stream(spans_of(plan, slabs, source), ahead=ahead_of(len(remote))))
            for source in remote
        }
        stack.enter_context(one_torch_thread())
        keep_freed_memory()
        _Flow(plan, Writer(plan.combination(), files, finish, progress), streams, check).run(slabs)


class _Arriving:
    """A slab whose bytes are on their way. `missing`: streams that have not given theirs yet."""

    def __init__(self, slab: Slab, coming: dict[RemoteCheckpoint, tuple[Arrival, ...]], nbytes: int) -> None:
        self.slab = slab
        self.nbytes = nbytes
        self.buffers = {
            (remote, arrival.span[0]): (
                arrival,
                bytearray(arrival.numel * ITEM_SIZE[remote.info(arrival.span[0]).dtype]),
            )
            for remote, found in coming.items()
            for arrival in found
        }
        self.missing = len({remote for remote, _ in self.buffers})

    def of(self, remote: RemoteCheckpoint) -> list[tuple[Arrival, bytearray]]:
        return [coming for (source, _), coming in self.buffers.items() if source is remote]

    def sources(self, plan: Plan, combination: Combination, stack: ExitStack) -> TensorSources:
        """How to read the slab: what was streamed from memory, models on this machine from their files.

        Until the stack is closed, adapters read their base from the same memory.
        """
        for (remote, _), (arrival, buffer) in self.buffers.items():
            stack.enter_context(remote.here(arrival.span, memoryview(buffer)))
        stored = combination.sources(self.slab.tensor)
        base = len(plan.models)
        reads: dict[int, Read] = {}
        for place, source in enumerate(plan.sources):
            if isinstance(source, RemoteCheckpoint) and (source, name_in(self.slab.tensor, place)) in self.buffers:
                reads[place] = self._read(source, name_in(self.slab.tensor, place))
        donor = plan.donor if plan.donor is not None else base
        return TensorSources(
            tuple(reads.get(place, read) for place, read in enumerate(stored.models)),
            reads.get(base, stored.base) if stored.base is not None else None,
            reads.get(donor, stored.donor),
        )

    def _read(self, remote: RemoteCheckpoint, name: str) -> Read:
        """Of a whole model: no copy is made."""
        import torch

        arrival, buffer = self.buffers[remote, name]
        held, begin = torch.frombuffer(buffer, dtype=torch_dtype(remote.info(name).dtype)), arrival.span[1]

        def read(start: int, stop: int) -> Tensor:
            return held[start - begin : stop - begin]

        return read


class _Flow:
    """Readers, workers, and the thread that gives them slabs as long as there is memory. The first failure ends all."""

    def __init__(self, plan: Plan, writer: Writer, streams: dict[RemoteCheckpoint, SpanStream], check: Check) -> None:
        self._plan = plan
        self._check = check
        self._writer = writer
        self._streams = streams
        self._changed = threading.Condition()
        self._free = plan.slab_bytes
        self._failure: BaseException | None = None
        self._to_read: dict[RemoteCheckpoint, SimpleQueue[_Arriving | None]] = {s: SimpleQueue() for s in streams}
        self._to_combine: SimpleQueue[_Arriving | None] = SimpleQueue()

    def run(self, slabs: Sequence[Slab]) -> None:
        labours: list[Callable[[], None]] = [partial(self._receive, remote) for remote in self._streams]
        labours += [self._combine] * self._plan.workers
        threads = [threading.Thread(target=self._guarded, args=(labour,), daemon=True) for labour in labours]
        for thread in threads:
            thread.start()
        try:
            coming = {remote: arrivals(self._plan, slabs, remote) for remote in self._streams}
            for slab in slabs:
                if not self._admit(slab, {remote: next(found) for remote, found in coming.items()}):
                    break
            self._close_queues()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # waiting for ever would keep Ctrl-C from this thread on some systems
                    self._check()
        except BaseException as error:
            self._fail(error)
        finally:
            self._close_queues()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _admit(self, slab: Slab, coming: dict[RemoteCheckpoint, tuple[Arrival, ...]]) -> bool:
        """Waits for memory and sends the slab on its way; False when something has failed."""
        need = _nbytes(coming)
        with self._changed:
            while self._free < need and self._failure is None:
                self._changed.wait(0.2)
                self._check()
            if self._failure is not None:
                return False
            self._free -= need
        arriving = _Arriving(slab, coming, need)
        for remote, found in coming.items():
            if found:
                self._to_read[remote].put(arriving)
        self._to_combine.put(arriving)
        return True

    def _receive(self, remote: RemoteCheckpoint) -> None:
        carried = b""
        while (arriving := self._to_read[remote].get()) is not None:
            for arrival, buffer in arriving.of(remote):
                width = ITEM_SIZE[remote.info(arrival.span[0]).dtype]
                buffer[: len(carried)] = carried
                self._streams[remote].read_into(memoryview(buffer)[len(carried) :])
                carried = bytes(buffer[len(buffer) - arrival.kept * width :])
            with self._changed:
                arriving.missing -= 1
                self._changed.notify_all()

    def _combine(self) -> None:
        import torch

        combination = self._writer.combination
        with torch.no_grad(), combination.stream():
            while (arriving := self._to_combine.get()) is not None:
                with self._changed:
                    while arriving.missing and self._failure is None:
                        self._changed.wait()
                    if self._failure is not None:
                        return
                slab = arriving.slab
                with ExitStack() as stack:
                    sources = arriving.sources(self._plan, combination, stack)
                    survey = combination.survey(slab.tensor, sources, self._writer.stop)
                    for portion in slab.portions:
                        span = max(slab.start, portion.start), min(slab.stop, portion.stop)
                        self._writer.write_part(portion, *span, sources, survey)
                arriving.buffers.clear()
                del sources
                with self._changed:
                    self._free += arriving.nbytes
                    self._changed.notify_all()

    def _guarded(self, labour: Callable[[], None]) -> None:
        try:
            labour()
        except Interrupted:
            pass  # the failure that interrupted the survey is the one to be told
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error  # what fails afterwards fails because of it
            self._changed.notify_all()
        self._writer.stop.set()
        for stream in self._streams.values():
            stream.close()
        self._close_queues()

    def _close_queues(self) -> None:
        for queue in self._to_read.values():
            queue.put(None)
        for _ in range(self._plan.workers):
            self._to_combine.put(None)


def _nbytes(coming: dict[RemoteCheckpoint, tuple[Arrival, ...]]) -> int:
    return sum(
        arrival.numel * ITEM_SIZE[remote.info(arrival.span[0]).dtype]
        for remote, found in coming.items()
        for arrival in found
    )
