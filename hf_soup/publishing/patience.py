"""Repeats a request that failed for a reason that may pass: no answer, or a server that is busy or broken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hf_soup.errors import HubError
from hf_soup.publishing.push_errors import status_of

T = TypeVar("T")

PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
DELAYS_S: Sequence[float] = (1.0, 3.0, 9.0)
"""Seconds before the second, third and fourth try. huggingface_hub repeats uploads itself, but not these requests."""


def patiently(request: Callable[[], T], done_already: Callable[[], T | None] = lambda: None) -> T:
    """Returns what `request` returns, trying up to four times.

    `done_already` is asked before a repetition: a request whose answer was lost may have been carried out. Raises the
    error of the last try, or at once one that a repetition would not change.
    """
    failures = (json.JSONDecodeError, HubError, _transport_error())
    for delay in DELAYS_S:
        try:
            return request()
        except failures as error:
            if not _may_pass(error):
                raise
        time.sleep(delay)
        if (found := done_already()) is not None:
            return found
    return request()


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, HubError) and error.__cause__ is not None:  # said by the reading room, for the same reasons
        return _may_pass(error.__cause__)
    if isinstance(error, json.JSONDecodeError):
        return (
            True  # the page of an overloaded proxy, where huggingface_hub expects JSON before it looks at the status
        )
    if not isinstance(error, _transport_error()):
        return False
    status = status_of(error)
    return status is None or status in PASSING_STATUSES


def _transport_error() -> type[Exception]:
    """The class above HfHubHTTPError: httpx.HTTPError under huggingface_hub 1.x, httpx2.HTTPError under 2.x."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__mro__[1]
