"""The YAML between the first two lines of three dashes of a card."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BLOCK = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Returns the metadata and the body. Cards are written by hand: broken or missing YAML counts as none."""
    match = _BLOCK.match(text)
    if match is None:
        return {}, text
    body = text[match.end() :]
    try:
        found = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}, body
    return (found if isinstance(found, dict) else {}), body


def join_front_matter(metadata: dict[str, Any], body: str) -> str:
    """Returns a card; fields stand in the order of `metadata`."""
    block = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1_000)
    return f"---\n{block}---\n\n{body.lstrip()}"
