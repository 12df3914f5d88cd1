"""The recipe of a silicon crowd, run as a user runs it: a process of its own, asking a server over HTTP."""

from __future__ import annotations

import csv
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "forecasting"))
from loopback_llm import Answer, LoopbackLLM, Received

RECIPES = Path(__file__).parents[1] / "recipes"
EXAMPLE = RECIPES / "questions.example.csv"


def answer(received: Received) -> Answer:
    """Each question has a probability of its own, the second model one a little higher."""
    text = received.body["messages"][0]["content"]
    percent = 20 + sum(map(ord, re.sub(r"\s", "", text))) % 50
    return Answer(f"Reasons.\n\nProbability: {percent + 5 * (received.model == 'b')}.00%")


@pytest.fixture
def server() -> Iterator[LoopbackLLM]:
    with LoopbackLLM(answer) as running:
        yield running


def words(questions: Path, out: Path, server: LoopbackLLM, *more: str) -> list[str]:
    recipe = [str(RECIPES / "silicon_crowd.py"), str(questions), "--models", "openai/a:2,openai/b"]
    return [*recipe, "-o", str(out), "--api-base", server.api_base, "--allow-unpriced", *more]


def test_open_questions_are_asked_and_scored_and_reported_when_they_have_ended(
    server: LoopbackLLM, tmp_path: Path
) -> None:
    rows = list(csv.DictReader(EXAMPLE.open(encoding="utf-8", newline="")))
    questions = tmp_path / "questions.csv"

    def run(rows: list[dict[str, str]], *more: str) -> subprocess.CompletedProcess[str]:
        with questions.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        command = [sys.executable, *words(questions, tmp_path / "run", server, *more)]
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)

    asked = run([{**row, "resolution": ""} for row in rows])
    assert asked.returncode == 0, asked.stderr
    assert "No question is resolved yet" in asked.stdout
    assert (tmp_path / "run" / "report.html").is_file()
    assert len(server.received) == 36

    judged = run(rows, "--bound", "0.05")
    assert judged.returncode == 0, judged.stderr
    assert len(server.received) == 36
    for said in ("12 questions resolved, 0 open", "crowd alone", "Comparisons", "H2: ", "Report: "):
        assert said in judged.stdout
    assert "below 50 intervals are rough" in judged.stderr
    assert "<html" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_the_estimate_is_printed_and_nothing_is_sent(
    server: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", words(EXAMPLE, tmp_path / "run", server, "--dry-run"))
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(RECIPES / "silicon_crowd.py"), run_name="__main__")
    assert ended.value.code == 0
    assert "openai/a" in capsys.readouterr().out
    assert server.received == []
    assert not (tmp_path / "run").exists()


def test_what_is_wrong_is_said_in_a_sentence(
    server: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = tmp_path / "questions.csv"
    questions.write_text("id,question\nq1,\n")
    monkeypatch.setattr(sys, "argv", words(questions, tmp_path / "run", server))
    with pytest.raises(SystemExit, match="row 1"):
        runpy.run_path(str(RECIPES / "silicon_crowd.py"), run_name="__main__")
