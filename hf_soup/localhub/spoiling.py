"""Carrying out a fault: the `send` of an answer that is cut, slowed down, stopped, swallowed, or says what is not so."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

from hf_soup.localhub.faults import Fault

_TICK = 0.05  # seconds between the pieces of a slow body
_RESET_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # SO_LINGER: on, for no time


class SpoiledSend:
    """Passes messages on to `send` until the fault says otherwise; `cut` tells that nothing more will be sent."""

    def __init__(self, fault: Fault, send: Send, transport: asyncio.Transport) -> None:
        self._fault = fault
        self._send = send
        self._transport = transport
        self._left = next((limit for limit in (fault.truncate, fault.stall, fault.reset) if limit is not None), None)
        self.cut = False

    async def __call__(self, message: Message) -> None:
        if self._fault.drop or self.cut:
            return
        body = message.get("body", b"")
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in self._fault.headers.items():
                headers[name] = value
            await self._send({**message, "headers": headers.raw})
        elif not body:
            await self._send(message)
        elif self._fault.slow is not None:
            await self._send_slowly(message, max(1, int(self._fault.slow * _TICK)))
        elif self._left is not None:
            await self._send_up_to_limit(message)
        else:
            await self._send(message)

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
        if self._fault.truncate is not None:
            self._transport.close()
        elif self._fault.reset is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
