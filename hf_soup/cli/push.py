"""hf-soup push: publish a merged model or an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, show


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that hf-soup wrote.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="user/name; made when it does not exist.", show_default=False)],
    private: opt.Private = False,
    pr: Annotated[bool, typer.Option("--pr", help="Open a pull request instead of committing.")] = False,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch to commit to; made if need be.")] = None,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    publish_private_weights: opt.PublishPrivateWeights = False,
    as_json: opt.Json = False,
) -> None:
    """Publish a merged model, or an adapter that was made here, with its card and its recipe."""
    from hf_soup.publishing import push

    url = push(
        folder,
        repo,
        private=private,
        create_pr=pr,
        revision=revision,
        license=license,
        name_private=name_private,
        publish_private_weights=publish_private_weights,
    )
    if as_json:
        print_json({"url": url})
    else:
        show(f"Published: {url}\nVerify it: hf-soup verify {repo}")
