"""`hf-soup hub`: a Hub on loopback, for work without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A Hugging Face Hub on loopback, for work without a network.", no_args_is_help=True)


@app.callback()
def hub() -> None:
    """Keeps `serve` a command of its own as long as it is the only one."""


@app.command()
def serve(
    root: Annotated[
        Path | None, typer.Option(help="Folder that keeps the repositories; without it a temporary one.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1; 0 is any free one.")] = 0,
    xet: Annotated[bool, typer.Option("--xet", help="Serve large files through hf_xet's local store.")] = False,
    latency: Annotated[str, typer.Option(help="Time that every request waits for its answer, such as 50ms.")] = "0ms",
) -> None:
    """Serve until Ctrl-C; prints `export NAME=value` lines for a client."""
    import signal
    from shlex import quote

    from hf_soup.localhub import LocalHub

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a service manager ends it as Ctrl-C does
    server = LocalHub(root, port, xet=xet, latency_s=_seconds(latency))
    try:
        server.start()
        for name, value in server.environment().items():
            typer.echo(f"export {name}={quote(value)}")
        typer.echo(f"Serving {server.root} on {server.endpoint}; Ctrl-C ends it.", err=True)
        server.wait()
    except KeyboardInterrupt:
        pass  # the normal end of a server
    finally:
        server.stop()


def _seconds(text: str) -> float:
    """Seconds of "50ms" or "0.05s"."""
    from hf_soup.errors import InputError

    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s)", text.strip())
    if match is None:
        raise InputError(f"--latency {text}: write a time with its unit, such as 50ms or 0.05s.")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)
