"""Real forecasts that are not part of the repository: `shared/data` beside it, or the folder in HF_SOUP_TEST_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("HF_SOUP_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real_data(name: str) -> Path:
    """The file, or a skip that says what is absent."""
    if not (_FOLDER / name).is_file():
        pytest.skip(f"{name} is not there; name its folder in HF_SOUP_TEST_DATA")
    return _FOLDER / name
