"""The pictures are real PNG files of a readable size, and need no display."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from publishing_samples import evidence, selection

from hf_soup.publishing import evidence_plot, selection_plot


def size_of(path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_both_pictures_are_drawn_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    for path in (
        selection_plot(selection(), evidence(), tmp_path / "selection.png"),
        evidence_plot(evidence(), tmp_path / "evidence.png"),
    ):
        width, height = size_of(path)
        assert 1_000 <= width <= 3_000
        assert 400 <= height <= 3_000


def test_the_same_record_gives_the_same_bytes(tmp_path):
    first = selection_plot(selection(), evidence(), tmp_path / "a.png").read_bytes()
    assert selection_plot(selection(), evidence(), tmp_path / "b.png").read_bytes() == first


def test_a_selection_without_evidence_or_with_a_failed_candidate_is_drawn(tmp_path):
    path = selection()
    path["scores"][4] = None
    path["steps"][4]["score"] = None
    path["candidates"][0]["name"] = "somebody/" + "a-very-long-name-" * 6
    size_of(selection_plot(path, None, tmp_path / "a.png"))


def test_one_set_without_intervals_is_drawn(tmp_path):
    found = evidence()
    found["sets"] = found["sets"][:1]
    for row in found["rows"]:
        row["results"]["held-out"] |= {"low": None, "high": None}
    size_of(evidence_plot(found, tmp_path / "a.png"))


@pytest.mark.parametrize("heavy", ["torch", "huggingface_hub", "matplotlib", "transformers", "jinja2"])
def test_importing_the_room_is_light(heavy):
    code = f"import sys, hf_soup.publishing; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_public_names_are_functions_and_not_modules():
    import hf_soup.publishing as room

    for name in room.__all__:
        assert getattr(room, name) is not None
    assert callable(room.verify)
    assert callable(room.push)
