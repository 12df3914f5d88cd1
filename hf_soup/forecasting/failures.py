"""Why a call brought no answer, and what follows from it: ask again, ask differently, stop the member, or give up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from enum import StrEnum

from hf_soup.forecasting.scrub import scrub

_LONGEST_MESSAGE = 500
_LONGEST_READ = 20_000  # a server may send megabytes with an error
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"}
_POLICY_CODES = {"content_policy_violation", "content_filter", "moderation_blocked"}
_NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}  # of httpx


class FailureKind(StrEnum):
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    SERVER = "server"
    CONNECTION = "connection"
    MALFORMED = "malformed"
    """Something came that is no answer of a chat model."""
    KEY = "key"
    QUOTA = "quota"
    """The account is empty: waiting does not help."""
    MODEL = "model"
    """The provider does not know the model."""
    CONTENT_POLICY = "content_policy"
    CONTEXT_WINDOW = "context_window"
    PARAMETER = "parameter"
    """The model rejects a parameter, which is named."""
    BAD_REQUEST = "bad_request"
    OTHER = "other"

    @property
    def is_transient(self) -> bool:
        return self in _TRANSIENT

    @property
    def stops_member(self) -> bool:
        """Every further call of the member would fail in the same way."""
        return self in _STOPPING


_TRANSIENT = {
    FailureKind.RATE_LIMIT,
    FailureKind.TIMEOUT,
    FailureKind.SERVER,
    FailureKind.CONNECTION,
    FailureKind.MALFORMED,
}
_STOPPING = {FailureKind.KEY, FailureKind.QUOTA, FailureKind.MODEL}


class CallFailed(Exception):
    """`message` is scrubbed and short. `parameter`: of PARAMETER, the one to leave out, or `stream` to be set.

    `may_have_cost`: the model may have answered and the answer was lost on its way.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        parameter: str | None = None,
        may_have_cost: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.parameter = parameter
        self.may_have_cost = may_have_cost


def classify(error: BaseException, parameters: Collection[str] = (), secrets: Collection[str] = ()) -> CallFailed:
    """Returns what an exception of litellm means. `parameters`: the names that were sent; `secrets`: what messages must not show.

    Goes by litellm's class names and HTTP codes, since litellm reports a lost connection as an error 500 and a spent quota as
    a rate limit.
    """
    text = scrub(str(error)[:_LONGEST_READ], secrets)[:_LONGEST_MESSAGE]
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else None
    parameter = _parameter(error, text, parameters)
    kind = FailureKind.PARAMETER if parameter else _kind(error, text, status)
    lost = kind in (FailureKind.TIMEOUT, FailureKind.MALFORMED, FailureKind.CONNECTION) and not _was_never_sent(error)
    return CallFailed(
        kind,
        text,
        http_status=status,
        retry_after_s=_retry_after(error),
        parameter=parameter,
        may_have_cost=lost,
    )


def _kind(error: BaseException, text: str, status: int | None) -> FailureKind:
    name = type(error).__name__
    code = str(getattr(error, "code", None))
    body = getattr(error, "body", None)
    code = str(body.get("code")) if isinstance(body, dict) and body.get("code") else code
    if code in _QUOTA_CODES or status == 402:
        return FailureKind.QUOTA
    if code in _POLICY_CODES or name == "ContentPolicyViolationError":
        return FailureKind.CONTENT_POLICY
    if name == "ContextWindowExceededError" or status == 413:
        return FailureKind.CONTEXT_WINDOW
    if _is_missing_key(text):
        return FailureKind.KEY
    if name in ("JSONDecodeError", "APIResponseValidationError", "JSONSchemaValidationError"):
        return FailureKind.MALFORMED
    if name == "APIConnectionError" or (status == 500 and "connection error" in text.lower()):
        return FailureKind.CONNECTION
    if status == 500 and re.search(r"expecting value|json|validation error", text, re.IGNORECASE):
        return FailureKind.MALFORMED
    if name in ("Timeout", "TimeoutError", "APITimeoutError"):
        return FailureKind.TIMEOUT
    if name in _BY_NAME:
        return _BY_NAME[name]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status is not None and status >= 500:
        return FailureKind.SERVER
    return FailureKind.BAD_REQUEST if status is not None and status >= 400 else FailureKind.OTHER


_BY_NAME = {
    "RateLimitError": FailureKind.RATE_LIMIT,
    "AuthenticationError": FailureKind.KEY,
    "PermissionDeniedError": FailureKind.KEY,
    "NotFoundError": FailureKind.MODEL,
}
_BY_STATUS = {
    401: FailureKind.KEY,
    403: FailureKind.KEY,
    404: FailureKind.MODEL,
    408: FailureKind.TIMEOUT,
    409: FailureKind.SERVER,
    429: FailureKind.RATE_LIMIT,
}


def _is_missing_key(text: str) -> bool:
    return (
        re.search(r"api_key client option must be set|missing credentials|missing api key", text, re.IGNORECASE)
        is not None
    )


def _parameter(error: BaseException, text: str, sent: Collection[str]) -> str | None:
    """The parameter that a refusal names; only of refusals that are about the request."""
    if type(error).__name__ not in ("BadRequestError", "UnsupportedParamsError", "UnprocessableEntityError"):
        return None
    if "stream" not in sent and re.search(r"(?:only|must|set).{0,40}\bstream", text, re.IGNORECASE):
        return "stream"
    return next((name for name in sent if re.search(rf"\b{re.escape(name)}\b", text)), None)


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", None
    )
    value = headers.get("retry-after") if headers is not None else None
    try:
        seconds = float(value) if value is not None else None
    except ValueError:  # a date: providers of language models send seconds
        return None
    return seconds if seconds is not None and seconds >= 0 else None


def _was_never_sent(error: BaseException) -> bool:
    return any(type(cause).__name__ in _NEVER_SENT for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
