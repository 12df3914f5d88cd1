"""Printing results: a JSON document for programs, text for people. Under a launcher only the main process prints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from hf_soup.ranks import is_main_process


def show(text: str) -> None:
    if is_main_process():
        typer.echo(text)


def print_json(document: Any) -> None:
    """NaN, which JSON does not have, becomes null."""
    show(json.dumps(_without_nan(document), indent=2, ensure_ascii=False, default=str, allow_nan=False))


def print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        if is_main_process():
            typer.echo(f"Warning: {warning}", err=True)


@contextmanager
def merge_is_kept(folder: Path, repo: str, what: str = "merged model") -> Iterator[None]:
    """Says, when publishing fails or is interrupted, that the result need not be made again."""
    try:
        yield
    except BaseException:
        if is_main_process():
            typer.echo(f"The {what} is complete in {folder}; publish it with: hf-soup push {folder} {repo}", err=True)
        raise


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return value
