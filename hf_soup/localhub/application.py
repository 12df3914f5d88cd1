"""The ASGI application: one request in, log and faults applied, one answer out."""

from __future__ import annotations

import asyncio
import logging
import secrets

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from hf_soup.localhub import api  # noqa: F401 - fills the tables of routes
from hf_soup.localhub.accounts import User
from hf_soup.localhub.faults import Faults
from hf_soup.localhub.largefiles import Upload, UploadSink
from hf_soup.localhub.log import Record, RequestLog
from hf_soup.localhub.refusals import Refusal, bad_request, bad_token, forbidden
from hf_soup.localhub.routing import Call, cdn_routes, hub_routes
from hf_soup.localhub.spoiling import SpoiledSend
from hf_soup.localhub.state import HubState

TRANSPORT = "hf_soup.transport"  # where the server puts the connection, so that a fault can cut it
_MAX_JSON = 64 << 20  # bytes
_log = logging.getLogger(__name__)


class Application:
    def __init__(self, hub: HubState, cdn_port: int, log: RequestLog, faults: Faults) -> None:
        self._hub = hub
        self._cdn_port = cdn_port
        self._requests = log
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        record = self._record(request)
        self._requests.add(record)
        send = _recorded(record, send)
        if self._hub.latency_s:
            await asyncio.sleep(self._hub.latency_s)
        fault = self._faults.take(record.method, record.path, record.query)
        if fault is None:
            await (await self._respond(request, record))(scope, receive, send)
            return
        record.fault = True
        transport: asyncio.Transport = scope[TRANSPORT]
        if fault.status is not None:
            async for _ in request.stream():
                pass
            await JSONResponse({"error": "Injected fault"}, fault.status, fault.headers)(scope, receive, send)
            return
        if fault.ignore_range:
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}
            request = Request(scope, receive)
        if fault.drop is not True:
            spoiled = SpoiledSend(fault, send, transport)
            await (await self._respond(request, record))(scope, receive, spoiled)
            if not (fault.drop or spoiled.cut):
                return
        if fault.drop:
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass

    def _record(self, request: Request) -> Record:
        headers = request.headers
        return Record(
            method=request.method,
            path=request.scope["path"],
            query=request.scope["query_string"].decode("latin-1"),
            origin="cdn" if request.scope["server"][1] == self._cdn_port else "hub",
            host=headers.get("host", ""),
            range=headers.get("range"),
            authorized="authorization" in headers,
            user_agent=headers.get("user-agent", ""),
        )

    async def _respond(self, request: Request, record: Record) -> Response:
        try:
            response = await self._answer(request, record)
        except Refusal as refusal:
            response = _refused(refusal)
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it
        except Exception as error:
            _log.exception("%s %s failed", record.method, record.path)
            response = _refused(Refusal(500, f"Internal error: {error!r}"))
        response.headers["X-Request-Id"] = f"local-{secrets.token_hex(8)}"
        return _without_body(response) if record.method == "HEAD" else response

    async def _answer(self, request: Request, record: Record) -> Response:
        if record.host.rsplit(":", 1)[0] not in ("127.0.0.1", "localhost"):
            # A web page could otherwise reach the hub through a host name of its own (DNS rebinding).
            raise forbidden(f"This hub answers to 127.0.0.1 and localhost, not to {record.host}")
        routes = cdn_routes if record.origin == "cdn" else hub_routes
        if record.origin == "cdn" and record.authorized:
            raise bad_request("Only one auth mechanism allowed")  # what S3 says to a token beside a signed address
        found = routes.find(record.method, request.scope["raw_path"].decode("ascii"))
        if found is None:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")
        route, values = found
        user = self._user(request)
        record.user = user.name if user else None
        body, upload = b"", None
        try:
            if route.body == "file":
                upload = await self._receive_file(request, record)
            else:
                body = await _receive_json(request, record)
            call = Call(
                self._hub,
                record.method,
                record.path,
                values,
                request.query_params,
                request.headers,
                user,
                body,
                upload,
            )
            return await run_in_threadpool(route.answer, call)
        finally:
            if upload is not None:
                upload.path.unlink(missing_ok=True)

    def _user(self, request: Request) -> User | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        user = self._hub.accounts.with_token(header.removeprefix("Bearer ").strip())
        if user is None:
            raise bad_token()
        return user

    async def _receive_file(self, request: Request, record: Record) -> Upload:
        sink = UploadSink(self._hub.incoming)
        try:
            async for chunk in request.stream():
                record.received += len(chunk)
                sink.write(chunk)
        except ClientDisconnect:
            sink.finish().path.unlink()
            raise
        return sink.finish()


async def _receive_json(request: Request, record: Record) -> bytes:
    pieces = []
    async for chunk in request.stream():
        record.received += len(chunk)
        if record.received > _MAX_JSON:
            raise Refusal(413, "Request body too large")
        pieces.append(chunk)
    return b"".join(pieces)


def _recorded(record: Record, send: Send) -> Send:
    """Write status and size into the log before they go out, so that a client that has its answer is in the log."""

    async def recorded(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
        else:
            record.sent += len(message.get("body", b""))
        await send(message)

    return recorded


def _refused(refusal: Refusal) -> Response:
    one_line = " ".join(refusal.message.split()).encode("ascii", "replace").decode()
    headers = {"X-Error-Message": one_line, **refusal.headers}
    if refusal.code:
        headers["X-Error-Code"] = refusal.code
    return JSONResponse(refusal.body, refusal.status, headers)


def _without_body(response: Response) -> Response:
    empty = Response(status_code=response.status_code)
    empty.raw_headers = response.raw_headers
    return empty
