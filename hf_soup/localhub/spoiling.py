"""Carrying out a fault: the `send` of an answer that is cut, slowed down or swallowed."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Send

from hf_soup.localhub.faults import Fault

_TICK = 0.05  # seconds between the pieces of a slow body


class SpoiledSend:
    """Passes messages on to `send` until the fault says otherwise; `cut` tells that the connection was closed."""

    def __init__(self, fault: Fault, send: Send, transport: asyncio.Transport) -> None:
        self._fault = fault
        self._send = send
        self._transport = transport
        self._left = fault.truncate
        self.cut = False

    async def __call__(self, message: Message) -> None:
        if self._fault.drop or self.cut:
            return
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await self._send(message)
        elif self._fault.slow is not None:
            await self._send_slowly(message, max(1, int(self._fault.slow * _TICK)))
        else:
            await self._send_up_to_limit(message)

    async def _send_slowly(self, message: Message, step: int) -> None:
        body = message["body"]
        for start in range(0, len(body), step):
            last = start + step >= len(body)
            more = message.get("more_body", False) if last else True
            await self._send({**message, "body": body[start : start + step], "more_body": more})
            await asyncio.sleep(_TICK)

    async def _send_up_to_limit(self, message: Message) -> None:
        assert self._left is not None
        body = message["body"]
        if len(body) <= self._left:
            self._left -= len(body)
            await self._send(message)
            return
        await self._send({**message, "body": body[: self._left], "more_body": True})
        self.cut = True
        self._transport.close()
