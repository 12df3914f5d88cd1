"""The grid of the paper: 12 members, 31 questions, 3 samples, refusals and faults, killed twice and gone on with."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from zlib import crc32

import killable_command
import pytest
from loopback_llm import Answer, LoopbackLLM, Received, failure

from hf_soup.cli.main import main
from hf_soup.forecasting import attempts

MEMBERS, QUESTIONS, SAMPLES = 12, 31, 3
SLOTS = MEMBERS * QUESTIONS * SAMPLES
KILLS = (400, 900)
"""The numbers of the requests with which the process dies."""
MOST_OUT = 64
FAULTS = (
    failure(429, retry_after="0.01"),
    failure(500),
    failure(503, retry_after="0"),
    Answer(cut=True),
    Answer(raw=b'{"choices": [{"message": {"con'),
)
Pair = tuple[str, str]


def pair_of(received: Received) -> Pair:
    first = received.body["messages"][0]["content"]
    return received.model, first.split("event <")[1].split(">")[0]


def probability(pair: Pair) -> int:
    """In percent, what this member says about this question: never what stands for nothing elsewhere."""
    return 1 + crc32("|".join(pair).encode()) % 48


class GridScript:
    """Of each hundred requests about six meet a fault, two get a blank answer and four a refusal, by member, question and how often
    they were asked before. Kills the process at the given requests."""

    def __init__(self) -> None:
        self.asked: Counter[Pair] = Counter()
        self.faults: Counter[Pair] = Counter()
        self.re_asks: Counter[Pair] = Counter()
        self.pid: int | None = None

    def __call__(self, received: Received) -> Answer:
        pair = pair_of(received)
        self.asked[pair] += 1
        if received.number in KILLS:
            assert self.pid is not None
            os.kill(self.pid, signal.SIGKILL)
        if "No forecast could be read" in received.text:
            self.re_asks[pair] += 1
            return Answer(f"Probability: {probability(pair)}%")
        chance = crc32(f"{pair}{self.asked[pair]}".encode()) % 100
        if chance < 6:
            self.faults[pair] += 1
            return FAULTS[self.faults.total() % len(FAULTS)]
        if chance < 8:
            return Answer("")
        if chance < 12:
            return Answer("I'm sorry, but I cannot predict political events.")
        return Answer(f"Reasons for and against.\n\nProbability: {probability(pair)}%")


def logged(run: Path) -> list[dict]:
    """The complete lines of calls.jsonl."""
    lines = (run / "calls.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_grid_is_asked_once_through_two_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.02)
    run, file, prices = tmp_path / "run", tmp_path / "questions.csv", tmp_path / "prices.yaml"
    file.write_text("id,question\n" + "".join(f"q{n},Will event <q{n}> happen?\n" for n in range(QUESTIONS)))
    members = [f"openai/model-{n}" for n in range(MEMBERS)]
    prices.write_text("".join(f"{member}: {{input: 1, output: 2}}\n" for member in members))
    script = GridScript()
    lost: Counter[Pair] = Counter()
    answered: set[str] = set()
    with LoopbackLLM(script) as server:
        command = [
            "forecast",
            "ask",
            str(file),
            "--models",
            ",".join(f"{m}:{SAMPLES}" for m in members),
            "-o",
            str(run),
        ]
        command += ["--api-base", server.api_base, "--prices", str(prices), "--max-cost", "20", "--prompt", "plain"]
        for kill in range(len(KILLS)):
            process = killable_command.start(command, tmp_path / f"out-{kill}", {"attempts._FIRST_WAIT_S": 0.02})
            script.pid = process.pid
            process.join(120)
            assert process.exitcode == -signal.SIGKILL, (tmp_path / f"out-{kill}").read_text()
            calls = logged(run)
            noted: Counter[Pair] = Counter()
            for call in calls:
                noted[call["model"].removeprefix("openai/"), call["question_id"]] += call["attempts"]
            # What the server had been asked by then and no transcript accounts for was out.
            out = script.asked - noted - lost
            assert not noted - script.asked
            assert 0 < out.total() <= 2 * MOST_OUT
            lost += out
            sent = [json.loads(line)[0] for line in (run / "sent.jsonl").read_text().splitlines()]
            answered = {call["key"] for call in calls if call["error"] is None}
            sent_before = len(sent)
        with pytest.raises(SystemExit) as ended:
            main(command)
    assert ended.value.code in (0, None), capsys.readouterr().err

    calls = logged(run)
    rows = [json.loads(line) for line in (run / "forecasts.jsonl").read_text().splitlines()]
    slots = [(row["question_id"], row["model"], row["sample"]) for row in rows]
    expected = [(f"q{q}", member, sample) for q in range(QUESTIONS) for member in members for sample in range(SAMPLES)]
    assert slots == expected
    assert len(slots) == SLOTS == 1_116

    # Each slot was answered once: there is one transcript with an answer for each of its calls.
    answers = Counter(call["key"] for call in calls if call["error"] is None)
    assert set(answers.values()) == {1}
    assert len({call["slot"] for call in calls if call["error"] is None and not call["re_ask"]}) == SLOTS
    # What had been answered before a kill was not sent again after it.
    sent = [json.loads(line)[0] for line in (run / "sent.jsonl").read_text().splitlines()]
    assert not answered & set(sent[sent_before:])
    # By the server's own count: samples, requests for the last line, faults, and what was out at a kill.
    for pair, asked in script.asked.items():
        assert asked <= SAMPLES + script.re_asks[pair] + script.faults[pair] + lost[pair], pair
    assert script.asked.total() == sum(call["attempts"] for call in calls) + lost.total()

    statuses = Counter(row["status"] for row in rows)
    assert statuses["answered"] + statuses["refused"] == SLOTS
    assert 20 < statuses["refused"] < 80
    for row in rows:
        pair = row["model"].removeprefix("openai/"), row["question_id"]
        wanted = probability(pair) / 100 if row["status"] == "answered" else None
        assert row["probability"] == (None if wanted is None else pytest.approx(wanted))
    record = json.loads((run / "run.json").read_text())
    assert record["complete"] is True
    assert 0 < record["cost"] < 20
