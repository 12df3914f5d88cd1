"""Signed addresses: what stands in for a token on the CDN, valid for one path and a limited time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from hf_soup.localhub.refusals import forbidden

LIFETIME = 3600  # seconds


class Signer:
    """Signs with a secret that lives as long as the process, so that addresses do not outlive the hub."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._epoch = 0

    def expire_all(self) -> None:
        """Ends the validity of every address that was signed so far."""
        self._epoch += 1

    def sign(self, origin: str, path: str, **extra: str) -> str:
        """The address of `path` on `origin`; `extra` query parameters are signed too."""
        query = {**extra, "Expires": str(int(time.time()) + LIFETIME), "Epoch": str(self._epoch)}
        signature = self._signature(path, query)
        return f"{origin}{quote(path)}?{urlencode({**query, 'Signature': signature})}"

    def check(self, path: str, query: Mapping[str, str]) -> None:
        """Raise 403 unless the address was made by `sign` and is still valid."""
        signed = {key: value for key, value in query.items() if key != "Signature"}
        expected = self._signature(path, signed)
        if not hmac.compare_digest(expected, query.get("Signature", "")):
            raise forbidden("SignatureDoesNotMatch")
        if int(signed["Expires"]) < time.time() or int(signed["Epoch"]) < self._epoch:
            raise forbidden("Request has expired")

    def _signature(self, path: str, query: Mapping[str, str]) -> str:
        message = path + "?" + urlencode(sorted(query.items()))
        return hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
