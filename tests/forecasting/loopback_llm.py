"""An OpenAI-compatible server on loopback, over real HTTP, whose answers a function scripts request by request."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """A request for a completion. `number` counts from 1 over all of them."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def model(self) -> str:
        return self.body["model"]

    @property
    def text(self) -> str:
        """The last message."""
        return self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Answer:
    """What the server does. `usage`: prompt and completion tokens, None to leave them out. `raw`: instead of a completion.
    `cut`: the connection ends in the middle of the body. `hang`: nothing comes until the client goes."""

    text: str | None = "Reasons.\n\nProbability: 60.00%"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = (100, 50)
    reasoning: str | None = None
    model: str | None = None
    code: str | None = None
    raw: bytes | None = None
    cut: bool = False
    hang: bool = False


def failure(status: int, message: str = "scripted", code: str | None = None, **headers: str) -> Answer:
    return Answer(message, status, {name.replace("_", "-"): value for name, value in headers.items()}, code=code)


Script = Callable[[Received], Answer]


class LoopbackLLM:
    """Serves in a thread of its own, from `with` on. `received`: all requests so far; `most_at_once`: that were out together."""

    def __init__(self, script: Script = lambda received: Answer()) -> None:
        self.script = script
        self.received: list[Received] = []
        self.most_at_once = 0
        self._out = 0
        self._ready = threading.Event()
        self._arrived = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._port = 0

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def until_received(self, requests: int) -> None:
        """Returns once so many requests have come; raises TimeoutError after ten seconds."""

        def wait() -> bool:
            with self._arrived:
                return self._arrived.wait_for(lambda: len(self.received) >= requests, 10)

        if not await asyncio.to_thread(wait):
            raise TimeoutError(f"{len(self.received)} of {requests} requests have come.")

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=512))
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(json.loads(body), headers, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        """Returns whether the connection stays."""
        received = Received(len(self.received) + 1, body, headers)
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        self._out += 1
        self.most_at_once = max(self.most_at_once, self._out)
        try:
            answer = self.script(received)
            if answer.hang:
                await asyncio.get_running_loop().create_future()
            if answer.latency_s:
                await asyncio.sleep(answer.latency_s)
        finally:
            self._out -= 1
        content = answer.raw if answer.raw is not None else _content(answer, body)
        streams = bool(body.get("stream")) and answer.status == 200
        lines = [
            f"HTTP/1.1 {answer.status} scripted",
            f"Content-Type: {'text/event-stream' if streams else 'application/json'}",
            f"Content-Length: {len(content)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        writer.write(
            "\r\n".join(lines).encode() + b"\r\n\r\n" + (content[: len(content) // 2] if answer.cut else content)
        )
        await writer.drain()
        return not answer.cut


def _content(answer: Answer, body: dict[str, Any]) -> bytes:
    if answer.status != 200:
        return json.dumps({"error": {"message": answer.text, "type": "scripted", "code": answer.code}}).encode()
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    document: dict[str, Any] = {"id": "c", "created": 1, "model": answer.model or body["model"]}
    usage = {}
    if answer.usage is not None:
        sent, came = answer.usage
        usage = {"usage": {"prompt_tokens": sent, "completion_tokens": came, "total_tokens": sent + came}}
    if body.get("stream"):
        chunks = [
            {
                **document,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": message, "finish_reason": None}],
            },
            {
                **document,
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}],
            },
        ]
        return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    return json.dumps({**document, "object": "chat.completion", "choices": [choice], **usage}).encode()
