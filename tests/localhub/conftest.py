"""Fixtures of the hub's tests: plain HTTP without a client library in between, and fresh repositories."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from hf_soup.localhub import LocalHub

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_numbers = itertools.count()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """Sends one request on a new connection; follows no redirect."""

    def __init__(self, hub: LocalHub) -> None:
        self._hub = hub

    def __call__(
        self,
        method: str,
        address: str,
        *,
        body: Any = None,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """`token` "" is the owner's, None is no token; a `body` that is not bytes is sent as JSON."""
        url = urlsplit(address if address.startswith("http") else self._hub.endpoint + address)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self._hub.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
        try:
            connection.request(method, url.path + (f"?{url.query}" if url.query else ""), body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()


@pytest.fixture
def wire(hub: LocalHub) -> Wire:
    return Wire(hub)


@pytest.fixture
def wire_to() -> Callable[[LocalHub], Wire]:
    """For a hub of the test's own."""
    return Wire


@pytest.fixture
def new_repo(api: HfApi) -> Callable[..., str]:
    """Makes an empty repository of `tester` with a name of its own."""

    def make(**options: Any) -> str:
        return api.create_repo(f"tester/hub-test-{next(_numbers)}", **options).repo_id

    return make


@pytest.fixture
def repo_id(new_repo: Callable[..., str]) -> str:
    return new_repo()
