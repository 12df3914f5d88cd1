"""A safetensors checkpoint of the Hub that is read over the network; none of its weights comes to this disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint
from hf_soup.checkpoints.span_stream import SpanStream
from hf_soup.checkpoints.spans import RANGE_BYTES, Span, request_count, windows
from hf_soup.checkpoints.weight_files import WeightFiles
from hf_soup.errors import InputError

HOLD_BYTES = 16 * 2**20
HOLD_REQUESTS = 8

TensorSpan = tuple[str, int, int]
"""Elements [start, stop) of the flattened tensor of that name."""


class RemoteCheckpoint(SafetensorsCheckpoint):
    """Each `read_span` is a request of its own: for many of them there are `span_stream`, in order, and `hold`.

    `files_to_download()` is empty, since nothing has to fit on this disk; what goes over the network is what the plan says
    will be read. `fetch()` brings config, tokenizer and the like, no weights. Raises InputError for a pickle.
    """

    streams = True
    folder: HubFolder

    def __init__(self, folder: HubFolder, weights: WeightFiles) -> None:
        if weights.format != "safetensors":
            raise InputError(
                f"{folder.ref.label}: its weights are a pickle ({weights.paths[0]}); streaming needs safetensors. Merge "
                "without streaming, or ask for the model as safetensors."
            )
        super().__init__(folder, weights)
        self._held: list[tuple[Span, memoryview]] = []
        self._holding = threading.Lock()

    @property
    def identity(self) -> str:
        """A commit does not change: the Hub's digests of its files tell as much as times of change do elsewhere."""
        if self._hub_digest is not None:
            return self.fingerprint
        digests = [file.git_sha1 for file in self.weight_files()]
        return hashlib.sha256(repr((self.fingerprint, digests)).encode()).hexdigest()

    def files_to_download(self) -> dict[tuple[str, str], int]:
        return {}

    def fetch(self) -> Path:
        return self.side_folder()

    def span_stream(
        self, spans: Iterable[TensorSpan], *, range_bytes: int = RANGE_BYTES, ahead: int = 1
    ) -> SpanStream:
        """Returns the stored bytes of these spans, one after the other, in the order given.

        Spans that follow each other in a file come by one request of about `range_bytes`: give them in the order in
        which the file has them (`span_of` says where a span lies). Any number of streams may be open.
        """
        located = [self.span_of(*span) for span in spans]
        files = {path: self.folder.remote_file(path) for path in dict.fromkeys(span.path for span in located)}
        return SpanStream(files, located, range_bytes, ahead)

    def request_count(self, spans: Iterable[TensorSpan], range_bytes: int = RANGE_BYTES) -> int:
        """Returns how many requests `span_stream` takes for these spans, when none fails."""
        return request_count((self.span_of(*span) for span in spans), range_bytes)

    def can_hold(self, spans: Sequence[TensorSpan]) -> bool:
        """Whether `hold` would bring all of these spans within its bounds."""
        located = [self.span_of(*span) for span in spans]
        found = windows(located, HOLD_REQUESTS, HOLD_BYTES)
        return all(any(window.holds(span) for window in found) for span in located if span.length)

    @contextmanager
    def hold(self, spans: Sequence[TensorSpan]) -> Iterator[None]:
        """Brings many small spans by at most 8 requests at once, and keeps them while the block runs.

        Gaps between them are read too, up to 16 MiB in all. Inside the block `read_span` of what is held makes no
        request; what did not fit into these bounds is read as ever.
        """
        found = windows([self.span_of(*span) for span in spans], HOLD_REQUESTS, HOLD_BYTES)
        held = [(window, memoryview(bytearray(window.length))) for window in found]
        files = {window.path: self.folder.remote_file(window.path) for window in found}
        with SpanStream(files, found, range_bytes=HOLD_BYTES, ahead=HOLD_REQUESTS - 1) as stream:
            for _, content in held:
                stream.read_into(content)
        with self._holds(held):
            yield

    @contextmanager
    def here(self, span: TensorSpan, content: memoryview) -> Iterator[None]:
        """Takes the stored bytes of a span, which came by a `span_stream`, for what `read_span` reads while the block runs.

        Other threads read from it too. What lies outside of all such spans is a request as ever.
        """
        with self._holds([(self.span_of(*span), content)]):
            yield

    @contextmanager
    def _holds(self, held: Sequence[tuple[Span, memoryview]]) -> Iterator[None]:
        with self._holding:
            self._held = [*self._held, *held]
        try:
            yield
        finally:
            mine = {id(entry) for entry in held}
            with self._holding:
                self._held = [entry for entry in self._held if id(entry) not in mine]

    def _read_at(self, span: Span, buffer: memoryview) -> int:
        for window, content in self._held:
            if window.holds(span):
                start = span.offset - window.offset
                buffer[:] = content[start : start + span.length]
                return span.length
        return self.folder.remote_file(span.path).read_into(span.offset, buffer)

    def sampled_digest(self) -> str:
        """The Hub keeps no digest of content for files outside LFS only, and those are small."""
        with self.hold([(name, 0, self.info(name).numel) for name in self.names()]):
            return super().sampled_digest()
