"""A merge holds blocks, not models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from merge_memory import measure


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")
def test_anonymous_memory_does_not_grow_with_the_models():
    figures = measure(megabytes=120)
    assert figures["above_mb"] < 60  # half of one model; the figure to hold for three models of 500 MB is 400
