"""The hub as a running server: two sockets on loopback, one thread."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hf_soup.errors import SoupError
from hf_soup.localhub.accounts import OWNER, READER, Role, User
from hf_soup.localhub.application import TRANSPORT, Application
from hf_soup.localhub.faults import Faults
from hf_soup.localhub.log import Origin, Request, RequestLog
from hf_soup.localhub.state import HubState
from hf_soup.localhub.xet import XetStore

ADDRESS = "127.0.0.1"
_CDN_NAME = "localhost"  # another origin than ADDRESS for every client, also for those that compare host names only
_PATIENCE = 30.0  # seconds, for start and stop


class LocalHub:
    """A Hub on loopback.

    >>> with LocalHub() as hub:
    ...     os.environ.update(hub.environment())          # before huggingface_hub is imported
    ...     HfApi().create_repo("tester/model")
    ...     hub.requests[-1].status                       # 200

    Args:
        root: folder for the repositories, made if need be; None is a temporary one that `stop` removes.
        port: of 127.0.0.1; 0 is any free one, which is kept over `stop` and `start`.
        xet: serve large files through hf_xet's local store; without it clients need HF_HUB_DISABLE_XET=1.
        lfs_threshold: bytes; larger files are large files (LFS) whatever their name.
        multipart_chunk: bytes; larger LFS uploads come in parts of this size, None: never.
        page_size: rows of a page of a listing (tree, commits, models).
        latency_s: seconds that every request waits before it is answered, each on its own, as a distant Hub's would.

    Two origins are served: `endpoint` and `cdn` (another name and port). Large files travel through the CDN on signed
    addresses, and a token that reaches it is refused, as object stores do. `requests` tells what came to which.

    Raises:
        SoupError: the folder cannot be written or holds broken accounts; at `start`, the port is taken.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        port: int = 0,
        *,
        xet: bool = False,
        lfs_threshold: int = 10 << 20,
        multipart_chunk: int | None = None,
        page_size: int = 1000,
        latency_s: float = 0.0,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="hf-soup-hub-") if root is None else None
        self.root = Path(self._temporary.name if self._temporary else os.fspath(root or ""))
        self._port = port
        self._log = RequestLog()
        self.faults = Faults()
        try:
            store = XetStore(self.root / "xet") if xet else None
            self._hub = HubState(self.root, lfs_threshold, multipart_chunk, page_size, store, latency_s)
        except OSError as error:
            raise SoupError(f"The folder {self.root} cannot hold a hub ({error.strerror}); choose another.") from None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Serve in a background thread; returns when requests are answered."""
        main = _listen(self._port)
        cdn = _listen(0)
        self._port = main.getsockname()[1]
        self._hub.endpoint = self.endpoint
        self._hub.cdn = f"http://{_CDN_NAME}:{cdn.getsockname()[1]}"
        application = Application(self._hub, cdn.getsockname()[1], self._log, self.faults)
        config = uvicorn.Config(
            application,
            loop="asyncio",
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [main, cdn]}, name="hf-soup hub", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise SoupError(f"The local hub did not start on {self.endpoint}.")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop serving, and remove the folder if it was a temporary one. May be called twice."""
        self._halt()
        if self._temporary is not None:
            self._temporary.cleanup()

    def restart(self) -> Self:
        """Stop, read everything from disk again, and serve on the same port."""
        self._halt()
        old = self._hub
        self._hub = HubState(self.root, old.lfs_threshold, old.multipart_chunk, old.page_size, old.xet, old.latency_s)
        return self.start()

    def _halt(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
        self._server = self._thread = None

    def wait(self) -> None:
        """Return when the server has ended, for a program that does nothing else."""
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    @property
    def endpoint(self) -> str:
        if self._port == 0:
            raise SoupError("The local hub has no address before it is started: call start().")
        return f"http://{ADDRESS}:{self._port}"

    @property
    def cdn(self) -> str:
        """The other origin; its port changes with every start."""
        return self._hub.cdn

    @property
    def latency_s(self) -> float:
        """Seconds that a request waits before it is answered; may be set while the hub runs."""
        return self._hub.latency_s

    @latency_s.setter
    def latency_s(self, seconds: float) -> None:
        self._hub.latency_s = seconds

    def expire_locations(self) -> None:
        """Make every signed address that was given out so far a 403, as if its time were over."""
        self._hub.signer.expire_all()

    @property
    def token(self) -> str:
        """A write token of the user `tester`, who is also a member of the organisation `soup-org`."""
        return self._token_of(OWNER)

    @property
    def reader_token(self) -> str:
        """A read token of the user `reader`, who owns nothing."""
        return self._token_of(READER)

    def add_user(self, name: str, role: Role = "write", orgs: tuple[str, ...] = ()) -> User:
        """A further user with a token of their own; kept on disk."""
        return self._hub.accounts.add(name, role, orgs)

    def environment(self, token: str | None = None) -> dict[str, str]:
        """What a client needs; huggingface_hub reads it when it is imported."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": token or self.token,
            "HF_HUB_DISABLE_XET": "0" if self._hub.xet else "1",
        }

    @property
    def requests(self) -> list[Request]:
        """All requests since the start or `clear_requests`, in the order of their arrival."""
        return self._log.read()

    def wait_for_requests(self, count: int, origin: Origin | None = None, patience_s: float = _PATIENCE) -> bool:
        """Returns True once so many requests (to that origin) are in the log, False when they do not come in time."""
        return self._log.wait_for(count, origin, patience_s)

    def clear_requests(self) -> None:
        self._log.clear()

    def _token_of(self, name: str) -> str:
        user = self._hub.accounts.named(name)
        if user is None:
            raise SoupError(f"{self.root / 'accounts.json'} has no user {name!r}.")
        return user.token

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Protocol(H11Protocol):
    """Tells the application which connection a request came over."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope, receive, send):  # type: ignore[no-untyped-def]
            scope[TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport


def _listen(port: int) -> socket.socket:
    """A socket on loopback; 0 is any free port."""
    # asyncio turns Nagle's algorithm off (40 ms an answer) only where the socket names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere the option would let two hubs share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
    except OSError as error:
        listener.close()
        raise SoupError(
            f"Port {port} of {ADDRESS} cannot be used ({error.strerror}); choose another, or 0 for any free one."
        ) from None
    return listener
