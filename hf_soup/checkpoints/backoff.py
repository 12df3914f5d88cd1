"""How often a failed request is repeated, and how long to wait before that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from hf_soup.checkpoints.stop_signal import StopSignal
from hf_soup.errors import HubError


@dataclass(frozen=True)
class Backoff:
    """`attempts`: requests in a row that may fail without a byte of progress; the last one's failure is the error.

    Before the second to fifth try it waits 1, 2, 4, 8 s, or longer where the server asks for it, but never more than
    `longest_s`. `stall_s`: a connection, an answer or a body from which nothing comes for so long counts as broken;
    None is HF_HUB_DOWNLOAD_TIMEOUT. `wait` returns when the time is over or the signal is set.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 600.0
    stall_s: float | None = None
    wait: Callable[[StopSignal, float], object] = StopSignal.wait

    @property
    def timeout_s(self) -> float:
        from huggingface_hub import constants

        return constants.HF_HUB_DOWNLOAD_TIMEOUT if self.stall_s is None else self.stall_s

    def delay_s(self, failures: int, asked_s: float | None = None) -> float:
        """Seconds to wait after so many failures in a row.

        >>> [Backoff().delay_s(failures) for failures in (1, 2, 3, 4)]
        [1.0, 2.0, 4.0, 8.0]
        >>> Backoff().delay_s(1, asked_s=55)
        55
        """
        return max(self.first_s * 2 ** (failures - 1), asked_s or 0)


class Attempts:
    """The attempts of one read. `where` names file and repository in the error."""

    def __init__(self, backoff: Backoff, where: str, signal: StopSignal) -> None:
        self._backoff = backoff
        self._where = where
        self._signal = signal
        self._failures = 0

    def progressed(self) -> None:
        self._failures = 0

    def failed(self, reason: str, asked_s: float | None = None, cause: BaseException | None = None) -> None:
        """Waits for the next attempt. Raises HubError after the last one, or when the server asks for too long a wait."""
        self._failures += 1
        if self._failures >= self._backoff.attempts:
            raise HubError(
                f"{self._where}: {reason}, {self._failures} times in a row; run the command again."
            ) from cause
        delay = self._backoff.delay_s(self._failures, asked_s)
        if delay > self._backoff.longest_s:
            raise HubError(
                f"{self._where}: {reason}, and it asks to come back in {delay:,.0f} seconds; run the command again then."
            ) from cause
        self._backoff.wait(self._signal, delay)


def asked_delay_s(headers: Mapping[str, str]) -> float | None:
    """Returns the wait that a server asks for, by `RateLimit: "api";r=0;t=55` or by Retry-After (seconds or a date)."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds + 1.0  # the header rounds down
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except ValueError:  # neither: then our own delay counts
        return None
