"""`hf-soup forecast ask`, `show` and `parse`: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import killable_command
import pytest
from loopback_llm import Answer, LoopbackLLM, failure

from hf_soup.cli.main import main
from hf_soup.forecasting import attempts
from hf_soup.forecasting.run_folder import RunFolder

REFUSAL = Answer("I cannot provide a forecast for this question.")


@pytest.fixture(scope="module")
def shared() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running:
        yield running


@pytest.fixture
def server(shared: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> LoopbackLLM:
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.005)
    shared.received.clear()
    shared.script = lambda received: Answer()
    return shared


class Shell:
    """Runs commands in a folder with two questions."""

    def __init__(self, folder: Path, server: LoopbackLLM, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.run = folder / "run"
        self.questions = folder / "questions.csv"
        self.questions.write_text("id,question\nq1,Will event one happen?\nq2,Will event two happen?\n")
        self.prices = folder / "prices.yaml"
        self.prices.write_text("openai/a: {input: 10, output: 100}\nopenai/b: {input: 10, output: 100}\n")
        self.server = server

    def forecast(self, *words: object) -> tuple[int, str, str]:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", *map(str, words)])
        return int(ended.value.code or 0), *self.capsys.readouterr()

    def ask(self, *words: object) -> tuple[int, str, str]:
        given = ("--models", "openai/a:2,openai/b", "-o", self.run, "--api-base", self.server.api_base)
        return self.forecast("ask", self.questions, *given, *words)


@pytest.fixture
def shell(tmp_path: Path, server: LoopbackLLM, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, server, capsys)


def test_one_command_asks_and_prints(shell: Shell) -> None:
    code, out, err = shell.ask("--prices", shell.prices, "--max-cost", 5)
    assert code == 0
    assert out.splitlines()[0] == "question   openai/a   openai/b"
    assert "6 of 6 answered, $0.0360 spent" in out
    assert err.count("Warning: openai/") == 2
    assert shell.forecast("show", shell.run)[1] == out


def test_json_is_one_document_and_progress_goes_to_standard_error(shell: Shell) -> None:
    code, out, err = shell.ask("--allow-unpriced", "--json")
    document: dict[str, Any] = json.loads(out)
    assert (code, document["answered"], document["rows"], document["cost"]) == (0, 6, 6, None)
    assert {row["probability"] for row in document["forecasts"]} == {0.6}
    assert len(document["back_tests"]) == 4
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    last = {event["name"]: (event["done"], event["total"]) for event in events if event["event"] == "progress"}
    assert last == {"openai/a": (4, 4), "openai/b": (2, 2)}
    assert json.loads(shell.forecast("show", shell.run, "--json")[1])["forecasts"] == document["forecasts"]


def test_below_the_quorum_the_exit_code_is_3(shell: Shell, server: LoopbackLLM) -> None:
    server.script = lambda received: REFUSAL if "event two" in received.text else Answer()
    code, out, err = shell.ask("--allow-unpriced")
    assert code == 3
    assert "Below the quorum of 0.5: q2." in err
    assert "openai/a: 2 of 4 missing (50.0%)" in out
    assert "the model declined" in out
    assert shell.ask("--allow-unpriced", "--quorum", 0)[0] == 0
    server.script = lambda received: Answer()
    assert shell.ask("--allow-unpriced", "--refill")[0] == 0
    assert len(server.received) == 9


def test_a_dry_run_sends_nothing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    code, out, err = shell.forecast(
        "ask", shell.questions, "--models", "openai/gpt-4o:3,openai/gpt-4o-mini", "--dry-run"
    )
    assert code == 0
    assert out.splitlines()[-1].split()[:2] == ["all", "8"]
    assert "OPENAI_API_KEY is not set" in err
    code, out, _ = shell.forecast("ask", shell.questions, "--models", "openai/gpt-4o:3", "--dry-run", "--json")
    document = json.loads(out)
    assert (code, document["calls"], len(document["problems"])) == (0, 6, 1)
    assert 0 < document["cost_usual"] < document["cost_at_most"]
    assert not shell.run.exists()


def test_bad_input_is_listed_with_exit_code_2(shell: Shell, server: LoopbackLLM) -> None:
    shell.questions.write_text("id,question\nq1,\nq1,Will it?\n")
    code, out, err = shell.ask("--prompt", "no-such-prompt", "--prices", "none.yaml")
    assert (code, out) == (2, "")
    for part in ("q1", "no-such-prompt", "none.yaml"):
        assert part in err
    assert "Traceback" not in err
    assert not server.received


def test_a_price_that_nobody_knows_is_refused(shell: Shell) -> None:
    code, _, err = shell.ask()
    assert code == 2
    assert err.count("its price is not known") == 2


def test_a_folder_in_use_is_refused_with_one_sentence(shell: Shell) -> None:
    with RunFolder(shell.run):
        code, _, err = shell.ask("--allow-unpriced")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "another process is at work" in err


def test_max_cost_is_a_hard_cap(shell: Shell, server: LoopbackLLM) -> None:
    code, out, _ = shell.ask("--prices", shell.prices, "--max-cost", 0.03, "--max-tokens", 100, "--prompt", "plain")
    assert code in (0, 3)
    assert 2 <= len(server.received) <= 5
    assert f"{len(server.received)} of 6 answered, ${0.006 * len(server.received):.4f} spent" in out
    assert "budget: " in out


def test_parse_says_what_changed(shell: Shell) -> None:
    shell.ask("--allow-unpriced")
    rows = shell.run / "forecasts.jsonl"
    rows.write_text(rows.read_text().replace('"probability":0.6,', '"probability":0.006,', 1))
    code, out, _ = shell.forecast("parse", shell.run)
    assert (code, out) == (0, "q1, openai/a, sample 0: 0.6% → 60%\n6 rows read, 1 changed.\n")
    code, out, _ = shell.forecast("parse", shell.run, "--json")
    assert json.loads(out)["changes"] == []


def test_show_of_something_else(shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell.forecast("show", tmp_path)
    assert (code, out) == (2, "")
    assert "is not the folder of a run" in err


def test_a_provider_that_is_down(shell: Shell, server: LoopbackLLM) -> None:
    server.script = lambda received: failure(503)
    code, out, err = shell.ask("--allow-unpriced", "--retries", 0, "--concurrency", 1)
    assert code == 3
    assert "0 of 6 answered" in out
    assert "the member stopped" not in err  # no member has five slots
    assert "server: " in out


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_another_process_at_work_and_a_request_to_end(shell: Shell, server: LoopbackLLM, tmp_path: Path) -> None:
    """Two answers come, the others hang; a second command is refused; the first one ends on SIGTERM, and is gone on with."""
    server.script = lambda received: Answer() if received.number <= 2 else Answer(hang=True)
    words = [
        "--models",
        "openai/a:2,openai/b",
        "-o",
        str(shell.run),
        "--api-base",
        server.api_base,
        "--allow-unpriced",
    ]
    log = tmp_path / "log"
    process = killable_command.start(["forecast", "ask", str(shell.questions), *words], log, {"running.GRACE_S": 0.1})
    calls = shell.run / "calls.jsonl"
    while len(server.received) < 6 or calls.read_bytes().count(b"\n") < 2:
        process.join(0.02)
        assert process.exitcode is None, log.read_text()
    code, _, err = shell.ask("--allow-unpriced")
    assert (code, len(err.splitlines())) == (2, 1)
    os.kill(process.pid or 0, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 130, log.read_text()
    assert "the same command goes on" in log.read_text()
    assert "2 of 6 answered" in shell.forecast("show", shell.run)[1]
    server.received.clear()
    server.script = lambda received: Answer()
    assert shell.ask("--allow-unpriced")[0] == 0
    assert len(server.received) == 4
