"""Byte counts as people write them and as people read them."""

from __future__ import annotations

import re

from hf_soup.errors import InputError

_UNITS = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "KIB": 2**10, "M": 10**6, "MB": 10**6, "MIB": 2**20}
_UNITS |= {"G": 10**9, "GB": 10**9, "GIB": 2**30, "T": 10**12, "TB": 10**12, "TIB": 2**40}


def parse_size(text: str | int) -> int:
    """Returns bytes of "5GB" (5·10⁹), "256MiB" (256·2²⁰) or a plain number. Raises InputError.

    >>> parse_size("256MiB")
    268435456
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(text))
    if match is None or match[2].upper() not in _UNITS or float(match[1]) <= 0:
        raise InputError(f"'{text}' is not a size; write for example 5GB, 256MiB or a number of bytes.")
    return round(float(match[1]) * _UNITS[match[2].upper()])


def format_size(nbytes: int) -> str:
    """Returns a decimal size with three digits, e.g. "534 MB".

    >>> format_size(533_800_000)
    '534 MB'
    """
    value = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
