"""What was answered is on the disk before it counts, and is found again."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.cache_key import call_key
from hf_soup.forecasting.call import Call, CallError
from hf_soup.forecasting.call_log import CallLog
from hf_soup.forecasting.sent_log import SentLog


def call(key: str, **fields: Any) -> Call:
    return Call(
        **{
            "key": key,
            "slot": key,
            "question_id": "q",
            "member": "m",
            "model": "openai/m",
            "sample": 0,
            "prompt": "plain",
            "prompt_digest": "d",
            "messages": [{"role": "user", "content": "Will it? –"}],
            "requested": {},
            "effective": {},
            "text": "Probability: 5%",
            "cost": 0.25,
            "time": datetime(2026, 1, 1, tzinfo=UTC),
            **fields,
        }
    )


def write(path: Path, *calls: Call) -> None:
    async def run() -> None:
        log = CallLog(path)
        await asyncio.gather(*map(log.append, calls))
        log.close()

    asyncio.run(run())


def test_calls_are_found_by_key(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    calls = [call(f"k{number}", text="x" * number) for number in range(200)]
    write(path, *calls)
    log = CallLog(path)
    assert [log.find(each.key) for each in calls] == calls
    assert (list(log.read()), len(log), log.find("other"), "k7" in log) == (calls, 200, None, True)
    assert log.spent == 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_append_returns_only_after_the_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And many that come together share one."""
    path, synced = tmp_path / "calls.jsonl", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (fsync(file), synced.append(path.read_bytes().count(b"\n"))))

    async def run() -> None:
        log = CallLog(path)

        async def append(number: int) -> None:
            await log.append(call(f"k{number}"))
            assert any(f'"k{number}"' in line for line in path.read_text().splitlines()[: synced[-1]])

        await asyncio.gather(*(append(number) for number in range(100)))
        log.close()

    asyncio.run(run())
    assert synced[-1] == 100
    assert len(synced) < 20


def test_the_last_call_with_a_key_counts_and_the_cost_of_all(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    error = CallError(kind="server", message="busy")
    write(path, call("k", error=error, text=None, cost=0.1, attempts=6), call("k", cost=0.2, attempts=2))
    log = CallLog(path)
    found = log.find("k")
    assert found is not None
    assert (found.error, found.text, found.cost) == (None, "Probability: 5%", pytest.approx(0.3))
    assert (log.attempts("k"), log.attempts("other"), log.spent) == (8, 0, pytest.approx(0.3))


@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_partial_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, call("a"), call("b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    log = CallLog(path)
    assert log.repaired
    assert ("a" in log, "b" in log) == (True, False)
    asyncio.run(log.append(call("b")))
    log.close()
    assert path.read_bytes() == whole
    assert not CallLog(path).repaired


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, call("a"), call("b"))
    path.write_bytes(b"{oops\n" + path.read_bytes())
    with pytest.raises(InputError, match="line 1 is not JSON"):
        CallLog(path)
    path.write_bytes(b'{"key": "a"}\n')
    with pytest.raises(InputError, match="line 1 is no call of this version"):
        CallLog(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_once_and_for_all(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    write(path, call("a"))

    async def run() -> None:
        log = CallLog(path)
        with log._writer, Path("/dev/full").open("r+b", buffering=0) as full:
            log._writer = full
            results = await asyncio.gather(*(log.append(call(key)) for key in "bcd"), return_exceptions=True)
            results += await asyncio.gather(log.append(call("e")), return_exceptions=True)
        for result in results:
            assert isinstance(result, SoupError)
            assert "The 1 calls before are safe" in str(result)
        assert "b" not in log

    asyncio.run(run())
    assert len(CallLog(path)) == 1


def test_requests_without_an_answer_count_at_their_worst_case(tmp_path: Path) -> None:
    write(tmp_path / "calls.jsonl", call("a", attempts=2), call("b", attempts=1))
    sent = SentLog(tmp_path / "sent.jsonl")
    for key, worst in (("a", 1.0), ("a", 1.0), ("b", 2.0), ("b", 4.0), ("c", 8.0)):
        sent.add(key, worst)
    sent.close()
    with (tmp_path / "sent.jsonl").open("a") as file:
        file.write('["d", 1')  # of a process that was killed
    again = SentLog(tmp_path / "sent.jsonl")
    assert again.lost(CallLog(tmp_path / "calls.jsonl")) == 12.0
    again.add("e", 16.0)
    assert again.lost(CallLog(tmp_path / "calls.jsonl")) == 28.0
    assert stat.S_IMODE((tmp_path / "sent.jsonl").stat().st_mode) == 0o600


def test_every_part_of_a_key_changes_it() -> None:
    messages = [{"role": "user", "content": "x"}]

    def key(**changes: Any) -> str:
        given: dict[str, Any] = {
            "model": "m",
            "api_base": None,
            "messages": messages,
            "parameters": {"temperature": 1.0, "max_tokens": 5},
            "prompt_digest": "d",
            "sample": 0,
        }
        return call_key(**{**given, **changes})

    changed = [
        key(model="n"),
        key(api_base="http://x"),
        key(messages=[*messages, *messages]),
        key(parameters={"temperature": 0.5, "max_tokens": 5}),
        key(prompt_digest="e"),
        key(sample=1),
        key(copy=1),
        key(turn=1),
        key(re_ask=True),
        key(refill=1),
    ]
    assert len({key(), *changed}) == len(changed) + 1
    assert key(parameters={"max_tokens": 5, "temperature": 1.0}) == key()
