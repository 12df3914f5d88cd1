"""One file of the Hub at a pinned commit, read by HTTP ranges; no byte of it comes to this disk."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from hf_soup.checkpoints.backoff import Attempts, Backoff, asked_delay_s
from hf_soup.checkpoints.hub_errors import first_line, hub_errors
from hf_soup.checkpoints.stop_signal import StopSignal
from hf_soup.errors import HubError

_REFUSED_ADDRESS = frozenset({400, 401, 403, 410})  # what storages say to a signed address whose time is over
_MAX_HOPS = 5
_DEFAULT_PORT = {"http": 80, "https": 443}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True)
class _Location:
    """`elsewhere`: on another origin than the Hub, which must not see the token."""

    url: str
    elsewhere: bool


class _MayPass(Exception):
    """A failure that a repetition may heal. `asked_s`: the wait that the server asks for."""

    def __init__(self, reason: str, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.asked_s = asked_s


class _AddressRefused(Exception):
    """The storage does not take the signed address (any more)."""


class RemoteFile:
    """Several threads may read at the same time.

    The Hub is asked once where the file lies; the signed location that it names serves all ranges, without the token,
    until it expires. A small file that the Hub serves itself is read there.

    `url`: of `resolve` at a commit. `size`: from the listing. `where`: path and repository, as messages name them.
    """

    def __init__(
        self, url: str, *, size: int, where: str, token: str | bool | None = None, backoff: Backoff | None = None
    ) -> None:
        self.size = size
        self.where = where
        self._url = url
        self._token = token
        self._backoff = backoff or Backoff()
        self._locating = threading.Lock()
        self._location: _Location | None = None

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fills the buffer with the bytes from `offset` on, by one request; returns how many, fewer only at the end.

        Raises InputError for a file that is gone, private or gated, HubError when the Hub or the storage fails or
        serves another file than the one that was listed.
        """
        stop = min(self.size, offset + len(buffer))
        done = 0
        for chunk in self.chunks(offset, stop, StopSignal()):
            buffer[done : done + len(chunk)] = chunk
            done += len(chunk)
        return done

    def chunks(self, start: int, stop: int, signal: StopSignal) -> Iterator[bytes]:
        """Yields the bytes [start, stop) as they arrive, in pieces of at most 64 KiB as the client reads them.

        A body that breaks off, ends early or stalls is resumed at the byte where it stopped. Ends early, without an
        error, once the signal is set. Raises as `read_into` does.
        """
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        # httpx.HTTPError under huggingface_hub 1.x and httpx2.HTTPError under 2.x: connection errors, timeouts.
        transport_error: type[Exception] = HfHubHTTPError.__mro__[1]
        attempts = Attempts(self._backoff, self.where, signal)
        refused = False
        at = start
        while at < stop and not signal.is_set():
            try:
                for chunk in self._body(at, stop, signal):
                    at += len(chunk)
                    refused = False
                    attempts.progressed()
                    yield chunk
                if at < stop and not signal.is_set():
                    attempts.failed(f"the answer ended at byte {at:,} instead of {stop:,}")
            except _AddressRefused as error:
                if refused:
                    raise HubError(
                        f"{self.where}: the storage refuses the address that the Hub has just signed ({error}); check "
                        "this machine's clock, and run the command again."
                    ) from error
                refused = True
            except _MayPass as error:
                if not signal.is_set():
                    attempts.failed(str(error), error.asked_s, error.__cause__)
            except OfflineModeIsEnabled:
                with hub_errors(self.where):
                    raise
            except transport_error as error:
                if not signal.is_set():
                    attempts.failed(f"the connection failed at byte {at:,} ({first_line(error)})", cause=error)

    def _body(self, start: int, stop: int, signal: StopSignal) -> Iterator[bytes]:
        """One request for the bytes [start, stop): yields what comes of them."""
        location = self._locate()
        at = start
        try:
            with self._answer(location, start, stop) as response, signal.interrupting(response):
                for chunk in response.iter_raw():
                    at += len(chunk)
                    if at > stop:
                        raise HubError(f"{self.where}: the server sends more than the bytes that were asked for.")
                    yield chunk
                    if signal.is_set():
                        return
        except _AddressRefused:
            self._forget(location)
            raise

    def _locate(self) -> _Location:
        """Asks the Hub where the file is, unless it has said so before."""
        with self._locating:
            if self._location is None:
                self._location = self._resolve()
            return self._location

    def _forget(self, location: _Location) -> None:
        with self._locating:
            if self._location is location:  # else another thread has a new one already
                self._location = None

    def _resolve(self) -> _Location:
        url = self._url
        for _ in range(_MAX_HOPS):
            with self._sent("HEAD", url, token=self._token) as response:
                self._raise_for_hub(response)
                target = response.headers.get("location")
                # For a redirect this is the size of the file it leads to, which the answer itself does not have.
                length = response.headers.get("x-linked-size" if target else "content-length")
            self._check_size(length)
            if target is None:
                return _Location(url, elsewhere=False)
            url = urljoin(url, target)
            if _origin(url) != _origin(self._url):
                return _Location(url, elsewhere=True)
        raise HubError(f"{self.where}: the Hub redirects in a circle; run the command again later.")

    @contextmanager
    def _answer(self, location: _Location, start: int, stop: int) -> Iterator[Any]:
        """The response to a request for the bytes [start, stop), with its status and headers checked, body unread."""
        with self._sent(
            "GET",
            location.url,
            token=False if location.elsewhere else self._token,
            span=f"bytes={start}-{stop - 1}",
            follow_redirects=location.elsewhere,  # no token goes with it
        ) as response:
            if location.elsewhere:
                self._raise_for_storage(response)
            else:
                self._raise_for_hub(response)
            self._check_range(response, start, stop)
            yield response

    @contextmanager
    def _sent(
        self,
        method: str,
        url: str,
        *,
        token: str | bool | None,
        span: str | None = None,
        follow_redirects: bool = False,
    ) -> Iterator[Any]:
        from huggingface_hub.utils import build_hf_headers, get_session

        headers = {**build_hf_headers(token=token), "Accept-Encoding": "identity"}
        if span is not None:
            headers["Range"] = span
        client = get_session()
        request = client.build_request(method, url, headers=headers, timeout=self._backoff.timeout_s)
        try:
            response = client.send(request, stream=True, follow_redirects=follow_redirects)
        except RuntimeError as error:
            # The client is shared: huggingface_hub closes it, and makes another, when a connection of its own fails.
            if not client.is_closed:
                raise
            raise _MayPass("the connection was closed") from error
        try:
            yield response
        finally:
            response.close()

    def _raise_for_hub(self, response: Any) -> None:
        from huggingface_hub.utils import hf_raise_for_status

        self._raise_if_passing(response, "the Hub")
        if response.status_code < 400:
            return
        response.read()  # for its message
        with hub_errors(self.where):
            hf_raise_for_status(response)

    def _raise_for_storage(self, response: Any) -> None:
        self._raise_if_passing(response, "the storage")
        status = response.status_code
        if status in _REFUSED_ADDRESS:
            raise _AddressRefused(f"status {status}")
        if status == 404:
            raise HubError(f"{self.where}: the Hub lists the file, but its storage does not have it (status 404).")
        if status >= 400 and status != 416:
            raise HubError(f"{self.where}: the storage answered with status {status}; run the command again later.")

    def _raise_if_passing(self, response: Any, who: str) -> None:
        status = response.status_code
        if status in (408, 429) or status >= 500:
            raise _MayPass(f"{who} answered with status {status}", asked_delay_s(response.headers))

    def _check_size(self, length: str | None) -> None:
        if length is not None and length != str(self.size):
            raise HubError(
                f"{self.where}: has {length} bytes on the Hub now, its listing says {self.size}; run the command again."
            )

    def _check_range(self, response: Any, start: int, stop: int) -> None:
        status = response.status_code
        said = response.headers.get("content-range", "")
        if status == 416:
            self._check_size(said.rpartition("/")[2] or "no known number of")
        if status != 206:
            raise HubError(
                f"{self.where}: the server answered a request for a range with status {status} instead of 206; weights "
                "cannot be streamed from it. Merge without streaming."
            )
        match = _CONTENT_RANGE.fullmatch(said)
        if match is None or int(match[1]) != start or int(match[2]) >= stop:
            raise HubError(
                f"{self.where}: asked for the bytes {start}-{stop - 1}, the server sends "
                f"'{said or 'no Content-Range'}'; weights cannot be streamed from it. Merge without streaming."
            )
        if match[3] != "*":
            self._check_size(match[3])
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HubError(f"{self.where}: the server sends a compressed range, which cannot be read.")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORT.get(parts.scheme)
