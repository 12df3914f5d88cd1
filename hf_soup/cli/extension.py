"""hf-soup extension: this program as a command of the Hub's own CLI."""

from __future__ import annotations

import typer

app = typer.Typer(help="Use hf-soup as `hf soup …`.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `register` a command of its own although it is the only one."""


@app.command()
def register() -> None:
    """Make this installation available as `hf soup …`."""
    from hf_soup.extension import register_extension

    typer.echo(f"Registered: {register_extension()}\nTry it: hf soup --help")
