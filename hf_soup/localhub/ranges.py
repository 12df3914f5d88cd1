"""The Range header (RFC 9110, one range of bytes)."""

from __future__ import annotations

import re

from hf_soup.localhub.refusals import Refusal


def requested_span(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of the range that is asked for, None for the whole; 416 when it lies outside."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None  # an invalid range is ignored
    if start >= size or start == stop:
        raise Refusal(416, "The requested range is not satisfiable", headers={"Content-Range": f"bytes */{size}"})
    return start, stop
