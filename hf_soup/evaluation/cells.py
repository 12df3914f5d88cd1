"""What may stand in one cell of the data. Each check returns the value and a text of its content, for digests.

They raise ValueError with the rest of a sentence that begins with the column's name.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_soup.evaluation.labels import label_name


def _text(value: Any, folder: Path) -> tuple[str, str]:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("is empty")
    if not isinstance(value, str):
        raise ValueError(f"is not a text but a {type(value).__name__}")
    return value, value


def _label(value: Any, folder: Path) -> tuple[str, str]:
    if value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip():
        raise ValueError("is empty")
    if isinstance(value, list | dict | tuple):
        raise ValueError("holds several values, one label per row is needed")
    name = label_name(value)
    return name, name


def _image(value: Any, folder: Path) -> tuple[Any, str]:
    """A path relative to `folder`, bytes, {"bytes": …, "path": …} as in `datasets`, or a PIL image."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if value is None or value in ("", b""):
        raise ValueError("is empty")
    if isinstance(value, str | Path):
        path = folder / value
        if not path.is_file():
            raise ValueError("names a file that does not exist")
        _check_image(path)
        with path.open("rb") as file:
            return path, hashlib.file_digest(file, "sha256").hexdigest()
    if isinstance(value, bytes):
        _check_image(io.BytesIO(value))
        return value, hashlib.sha256(value).hexdigest()
    if hasattr(value, "tobytes") and hasattr(value, "mode") and hasattr(value, "size"):
        return value, hashlib.sha256(f"{value.mode}{value.size}".encode() + value.tobytes()).hexdigest()
    raise ValueError(f"is not an image but a {type(value).__name__}")


def _check_image(source: Any) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source) as image:
            image.verify()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError("is not an image that Pillow can read") from error


Cell = Callable[[Any, Path], tuple[Any, str]]
CELLS: dict[str, Cell] = {"text": _text, "text_pair": _text, "label": _label, "image": _image}
