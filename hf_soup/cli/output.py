"""Printing results: a JSON document for programs, text for people."""

from __future__ import annotations

import json
from typing import Any

import typer


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def print_warnings(warnings: Any) -> None:
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
