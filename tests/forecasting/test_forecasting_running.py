"""A run loses nothing: it goes on where it was, asks only what is missing, and says what is missing and why."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_llm import Answer, LoopbackLLM, Received, failure

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting import Crowd, Forecasts, Member, attempts, exchange, parse_again
from hf_soup.forecasting.call import Call
from hf_soup.forecasting.call_log import CallLog
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.rows import RE_ASKED
from hf_soup.forecasting.slot import fill

QUESTIONS = [{"id": f"q{number}", "question": f"Will event number {number} happen?"} for number in range(4)]
REFUSAL = Answer("I cannot provide a forecast for this question.")
VAGUE = Answer("It is hard to say.")


@pytest.fixture(scope="module")
def shared() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running:
        yield running


@pytest.fixture
def server(shared: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> LoopbackLLM:
    """Answers everything; nothing received. Waits between attempts are short."""
    monkeypatch.setattr(attempts, "_FIRST_WAIT_S", 0.005)
    shared.received.clear()
    shared.most_at_once = 0
    shared.script = lambda received: Answer()
    return shared


def crowd(server: LoopbackLLM, members: Any = "openai/a:2,openai/b", **settings: Any) -> Crowd:
    settings = {"api_base": server.api_base, "allow_unpriced": True, "prompt": "plain", **settings}
    return Crowd(members, **settings)


def about(number: int) -> Callable[[Received], bool]:
    return lambda received: f"event number {number} " in received.body["messages"][0]["content"]


def statuses(run: Forecasts) -> Counter[str]:
    return Counter(str(row.status) for row in run.rows)


def test_rows_come_in_the_order_of_the_plan_whenever_they_were_answered(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: Answer(f"Probability: {received.number}%", latency_s=0.05 / received.number)
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    order = [(row.question_id, row.model, row.sample) for row in run.rows]
    assert order == [
        (q["id"], m, s) for q in QUESTIONS for m, s in (("openai/a", 0), ("openai/a", 1), ("openai/b", 0))
    ]
    assert len({row.probability for row in run.rows}) == 12
    assert Forecasts.from_run(tmp_path / "run") == run


def test_samples_of_one_question_are_calls_of_their_own(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: Answer(f"Probability: {received.number}%")
    twins = [Member("first", "openai/a", 3), Member("second", "openai/a", 2)]
    run = crowd(server, twins).ask(QUESTIONS[:1], out=tmp_path / "run")
    assert len(server.received) == 5
    assert len({row.probability for row in run.rows}) == 5
    again = crowd(server, twins).ask(QUESTIONS[:1], out=tmp_path / "run")
    assert (again.rows, len(server.received)) == (run.rows, 5)


def test_the_same_command_asks_nothing_twice(server: LoopbackLLM, tmp_path: Path) -> None:
    first = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    second = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    assert len(server.received) == 12
    assert second == first


@pytest.mark.parametrize(
    ("settings", "questions", "asked"),
    [
        ({"prompt": "base_rate"}, QUESTIONS, 12),
        ({"temperature": 0.5}, QUESTIONS, 12),
        ({"max_tokens": 77}, QUESTIONS, 12),
        ({}, [*QUESTIONS[:3], {"id": "q3", "question": "Will event number 33 happen?"}], 3),
        ({}, [*QUESTIONS, {"id": "q9", "question": "Will event number 9 happen?"}], 3),
        ({"members": "openai/a:3,openai/b"}, QUESTIONS, 4),
        ({"members": "openai/b"}, QUESTIONS[1:], 0),
    ],
    ids=["prompt", "temperature", "max_tokens", "question", "more questions", "more samples", "fewer"],
)
def test_a_change_asks_only_what_changed(
    server: LoopbackLLM, tmp_path: Path, settings: dict[str, Any], questions: list[dict[str, Any]], asked: int
) -> None:
    crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    server.received.clear()
    run = crowd(server, **settings).ask(questions, out=tmp_path / "run")
    assert len(server.received) == asked
    assert statuses(run) == {"answered": len(run.rows)}
    assert len(run.rows) == len(questions) * (len(run.rows) // len(questions))


def test_failures_that_pass_are_asked_again_by_the_same_command(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: failure(500) if about(2)(received) else Answer()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run", retries=1)
    assert statuses(run) == {"answered": 9, "failed": 3}
    assert {row.reason for row in run.rows if row.status is Status.FAILED} == {run.missing()[1].reasons.popitem()[0]}
    assert all(row.probability is None for row in run.rows if row.question_id == "q2")
    server.received.clear()
    server.script = lambda received: Answer()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    assert (statuses(run), len(server.received)) == ({"answered": 12}, 3)


def test_an_answer_without_a_number_is_asked_once_for_the_line_alone(server: LoopbackLLM, tmp_path: Path) -> None:
    def script(received: Received) -> Answer:
        re_ask = len(received.body["messages"]) > 1
        if about(0)(received):
            return Answer("Probability: 12%") if re_ask else VAGUE
        return VAGUE if about(1)(received) else Answer()

    server.script = script
    run = crowd(server, "openai/a").ask(QUESTIONS[:3], out=tmp_path / "run")
    first, second, third = run.rows
    assert (first.status, first.probability, first.calls) == (Status.ANSWERED, 0.12, 2)
    assert RE_ASKED in first.flags
    assert (second.status, second.probability, second.calls) == (Status.UNPARSED, None, 2)
    assert (third.status, third.calls, len(server.received)) == (Status.ANSWERED, 1, 5)
    roles = [message["role"] for message in server.received[-1].body["messages"]]
    assert roles in (["user"], ["user", "assistant", "user"])
    crowd(server, "openai/a").ask(QUESTIONS[:3], out=tmp_path / "run")
    assert len(server.received) == 5


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(""), Status.EMPTY),
        (Answer(None), Status.EMPTY),
        (Answer("Let me think", finish_reason="length"), Status.CUT_OFF),
        (REFUSAL, Status.REFUSED),
        (Answer("Between 70% and 20%"), Status.UNPARSED),
        (failure(400, "Rejected by our safety system", "content_policy_violation"), Status.FAILED),
        (failure(400, "maximum context length is 8192 tokens", "context_length_exceeded"), Status.FAILED),
    ],
    ids=["blank", "null", "cut off", "refused", "reversed", "policy", "context"],
)
def test_missing_stays_missing_and_is_not_asked_again_without_refill(
    server: LoopbackLLM, tmp_path: Path, answer: Answer, status: Status
) -> None:
    server.script = lambda received: answer
    run = crowd(server, "openai/a").ask(QUESTIONS[:1], out=tmp_path / "run")
    assert (run.rows[0].status, run.rows[0].probability) == (status, None)
    assert run.rows[0].reason
    before = len(server.received)
    crowd(server, "openai/a").ask(QUESTIONS[:1], out=tmp_path / "run")
    assert len(server.received) == before
    server.script = lambda received: Answer()
    run = crowd(server, "openai/a").ask(QUESTIONS[:1], out=tmp_path / "run", refill=True)
    assert (run.rows[0].status, run.rows[0].probability, "refilled" in run.rows[0].flags) == (
        Status.ANSWERED,
        0.6,
        True,
    )
    assert len(server.received) == before + 1
    again = crowd(server, "openai/a").ask(QUESTIONS[:1], out=tmp_path / "run", refill=True)
    assert (again.rows, len(server.received)) == (run.rows, before + 1)


def test_refill_asks_only_what_is_missing_and_open(server: LoopbackLLM, tmp_path: Path) -> None:
    questions = [
        *QUESTIONS[:2],
        {"id": "q2", "question": "Will event number 2 happen?", "resolution": "no"},
        {"id": "q3", "question": "Will event number 3 happen?", "close_date": "2020-01-01"},
    ]
    server.script = lambda received: Answer() if about(0)(received) else REFUSAL
    run = crowd(server, "openai/a").ask(questions, out=tmp_path / "run")
    assert statuses(run) == {"answered": 1, "refused": 3}
    server.received.clear()
    server.script = lambda received: Answer()
    run = crowd(server, "openai/a").ask(questions, out=tmp_path / "run", refill=True)
    assert [row.status for row in run.rows] == ["answered", "answered", "refused", "refused"]
    assert len(server.received) == 1
    assert run.rows[1].time is not None
    assert run.rows[0].time is not None
    assert run.rows[1].time > run.rows[0].time


def test_a_member_whose_key_is_rejected_in_mid_run_stops_and_the_others_go_on(
    server: LoopbackLLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(received: Received) -> Answer:
        rejected = received.model == "a" and received.number > 4
        return failure(401, "Incorrect API key provided: sk-abcdefgh12345678") if rejected else Answer()

    server.script = script
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run", concurrency=1)
    of_a = Counter(str(row.status) for row in run.rows if row.model == "openai/a")
    assert (of_a["failed"], sum(of_a.values())) == (1, 8)
    assert of_a["answered"] + of_a["unasked"] == 7
    assert of_a["unasked"] > 0
    assert all(row.status is Status.ANSWERED for row in run.rows if row.model == "openai/b")
    unasked = next(row for row in run.rows if row.status is Status.UNASKED)
    assert unasked.reason is not None
    assert "the member stopped after key" in unasked.reason
    assert "openai/a: the member stopped after key" in capsys.readouterr().err
    assert "abcdefgh" not in "".join(path.read_text() for path in (tmp_path / "run").iterdir())
    server.script = lambda received: Answer()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    assert statuses(run) == {"answered": 12}


def test_a_provider_that_is_down_stops_its_members_only(server: LoopbackLLM, tmp_path: Path) -> None:
    members = [Member("down", "openai/x", 10, api_base="http://127.0.0.1:9/v1"), Member("up", "openai/a")]
    run = crowd(server, members).ask(QUESTIONS, out=tmp_path / "run", retries=1, per_provider=2)
    down = Counter(str(row.status) for row in run.rows if row.model == "down")
    assert down["failed"] < exchange.OUTAGE + 2 * 2  # those that were under way, two for each place
    assert down["failed"] + down["unasked"] == 40
    assert all(row.status is Status.ANSWERED for row in run.rows if row.model == "up")


def test_a_wrong_model_stops_at_once(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: failure(404, "The model does not exist") if received.model == "a" else Answer()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run", concurrency=1)
    assert statuses(run) == {"answered": 4, "failed": 1, "unasked": 7}


def test_a_rejected_parameter_is_not_sent_again(server: LoopbackLLM, tmp_path: Path) -> None:
    def script(received: Received) -> Answer:
        rejected = failure(400, "Unsupported parameter: 'temperature' is not supported with this model.")
        return rejected if received.model == "a" and "temperature" in received.body else Answer()

    server.script = script
    run = crowd(server, temperature=0.2).ask(QUESTIONS, out=tmp_path / "run", concurrency=1)
    assert statuses(run) == {"answered": 12}
    assert len(server.received) <= 12 + 2  # two were ready to be sent before the first was rejected
    calls = [json.loads(line) for line in (tmp_path / "run" / "calls.jsonl").read_text().splitlines()]
    assert all(call["requested"]["temperature"] == 0.2 for call in calls)
    assert {call["model"]: "temperature" in call["effective"] for call in calls} == {
        "openai/a": False,
        "openai/b": True,
    }


def test_the_limits_of_requests_at_once_are_kept(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: Answer(latency_s=0.01)
    crowd(server, "openai/a:5").ask(QUESTIONS, out=tmp_path / "one", concurrency=3)
    assert server.most_at_once == 3
    server.most_at_once = 0
    crowd(server, "openai/a:5").ask(QUESTIONS, out=tmp_path / "two", per_provider=4)
    assert server.most_at_once == 4


def test_a_second_turn_shows_the_crowd_and_has_a_row_of_its_own(server: LoopbackLLM, tmp_path: Path) -> None:
    def script(received: Received) -> Answer:
        second = len(received.body["messages"]) == 3
        if about(1)(received):
            return REFUSAL
        return Answer("My Prediction: Between 30% and 40%" if second else "My Prediction: Between 10% and 20%")

    server.script = script
    questions = [{**question, "crowd": 0.375} for question in QUESTIONS[:2]]
    run = crowd(server, "openai/a", prompt="update").ask(questions, out=tmp_path / "run")
    assert [(row.turn, row.shown_crowd, row.probability, row.low) for row in run.rows] == [
        (0, False, pytest.approx(0.15), 0.1),
        (1, True, pytest.approx(0.35), 0.3),
        (0, False, None, None),
        (1, True, None, None),
    ]
    assert "37.5" in next(received.text for received in server.received if len(received.body["messages"]) == 3)
    assert "37.5" not in server.received[0].text
    assert run.rows[3].status is Status.UNASKED
    crowd(server, "openai/a", prompt="update").ask(questions, out=tmp_path / "run")
    assert len(server.received) == 3


def test_a_question_without_a_crowd_is_asked_the_first_turn_alone(
    server: LoopbackLLM, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda received: Answer("Between 20.00% and 30.00%")
    questions = [{**QUESTIONS[0], "crowd": 0.4}, QUESTIONS[1]]
    run = crowd(server, "openai/a", prompt="update").ask(questions, out=tmp_path / "run")
    assert "'crowd', which 1 of 2 questions lack: q1" in capsys.readouterr().err
    assert [row.status for row in run.rows] == [Status.ANSWERED] * 3 + [Status.UNASKED]
    assert run.rows[3].reason == "the question lacks crowd, which the second turn shows"
    assert len(server.received) == 3
    assert run.below_quorum(1) == []


def test_the_complement_is_turned_into_the_probability_of_yes(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: Answer("Probability: 20%")
    run = crowd(server, "openai/a", prompt="negated").ask(QUESTIONS[:1], out=tmp_path / "run")
    assert (run.rows[0].probability, run.rows[0].negated) == (0.8, True)


def test_parse_reads_all_transcripts_again_without_a_call(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: VAGUE if about(1)(received) else Answer()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    before = len(server.received)
    again, changes = parse_again(tmp_path / "run")
    assert (again, changes) == (run, [])
    rows = tmp_path / "run" / "forecasts.jsonl"
    # As an older parser may have left it.
    rows.write_text(rows.read_text().replace('"probability":0.6,', '"probability":0.06,', 1))
    again, changes = parse_again(tmp_path / "run")
    assert again == run
    assert [str(change) for change in changes] == ["q0, openai/a, sample 0: 6% → 60%"]
    assert len(server.received) == before


def test_the_budget_counts_what_the_folder_has_spent(server: LoopbackLLM, tmp_path: Path) -> None:
    prices = {name: {"input": 10, "output": 100} for name in ("openai/a", "openai/b")}
    settings: dict[str, Any] = {"prices": prices, "max_tokens": 100, "allow_unpriced": False}
    true, cap = 0.006, 0.035
    run = crowd(server, **settings).ask(QUESTIONS, out=tmp_path / "run", max_cost=cap)
    assert run.cost is not None
    assert run.cost <= cap
    answered = statuses(run)["answered"]
    assert run.cost == pytest.approx(answered * true)
    assert statuses(run)["unasked"] == 12 - answered > 0
    assert all("budget" in (row.reason or "") for row in run.rows if row.status is Status.UNASKED)
    assert len(server.received) == answered
    crowd(server, **settings).ask(QUESTIONS, out=tmp_path / "run", max_cost=cap)
    assert len(server.received) == answered
    run = crowd(server, **settings).ask(QUESTIONS, out=tmp_path / "run", max_cost=1)
    assert (statuses(run), len(server.received)) == ({"answered": 12}, 12)
    assert run.cost == pytest.approx(12 * true)


def test_an_interrupted_run_writes_what_there_is_and_goes_on(
    server: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task is cancelled while six answers have come and the others hang."""
    server.script = lambda received: Answer() if received.number <= 6 else Answer(hang=True)
    append, kept = CallLog.append, 0

    async def run() -> None:
        six_are_kept = asyncio.Event()

        async def counted(log: CallLog, call: Call) -> None:
            nonlocal kept
            await append(log, call)
            kept += 1
            if kept == 6:
                six_are_kept.set()

        monkeypatch.setattr(CallLog, "append", counted)
        asking = asyncio.create_task(crowd(server).ask_async(QUESTIONS, out=tmp_path / "run"))
        await server.until_received(12)
        await asyncio.wait_for(six_are_kept.wait(), 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(run())
    assert statuses(Forecasts.from_run(tmp_path / "run")) == {"answered": 6, "unasked": 6}
    server.received.clear()
    server.script = lambda received: Answer()
    run_on = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    assert (statuses(run_on), len(server.received)) == ({"answered": 12}, 6)


def test_a_request_that_loses_its_cancellation_is_told_again(
    server: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies below a request may swallow a cancellation; the run must not wait for the request's time-out then."""
    at_work, swallowed = asyncio.Event(), []

    async def stubborn(*given: object, asking: bool, **options: object) -> object:
        if not asking:
            return await fill(*given, asking=False, **options)
        at_work.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append(True)
        return await asyncio.Event().wait()

    monkeypatch.setattr("hf_soup.forecasting.running.fill", stubborn)

    async def run() -> None:
        asking = asyncio.create_task(crowd(server).ask_async(QUESTIONS, out=tmp_path / "run"))
        await at_work.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(asking), 30)
        assert asking.done()

    asyncio.run(run())
    assert swallowed


def test_requests_that_were_out_at_an_interrupt_count_at_their_worst_case(server: LoopbackLLM, tmp_path: Path) -> None:
    server.script = lambda received: Answer(hang=True)
    priced = crowd(server, "openai/a", prices={"openai/a": {"input": 0, "output": 100}}, max_tokens=100)

    async def run() -> None:
        asking = asyncio.create_task(priced.ask_async(QUESTIONS, out=tmp_path / "run", max_cost=0.02))
        await server.until_received(2)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(run())
    assert Forecasts.from_run(tmp_path / "run").cost == pytest.approx(0.02)
    server.script = lambda received: Answer()
    run_on = priced.ask(QUESTIONS, out=tmp_path / "run", max_cost=0.02)
    assert (statuses(run_on), len(server.received)) == ({"unasked": 4}, 2)


def test_a_full_disk_says_what_is_safe(server: LoopbackLLM, tmp_path: Path) -> None:
    """Files of this process may not grow beyond what the transcripts and half of another one take."""
    resource = pytest.importorskip("resource")
    crowd(server).ask(QUESTIONS[:2], out=tmp_path / "run")
    calls = tmp_path / "run" / "calls.jsonl"
    size = calls.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 12, limits[1]))
    try:
        with pytest.raises(SoupError, match=r"calls.jsonl: .* The 6 calls before are safe"):
            crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert statuses(Forecasts.from_run(tmp_path / "run")) == {"answered": 6, "unasked": 6}
    server.received.clear()
    run = crowd(server).ask(QUESTIONS, out=tmp_path / "run")
    assert (statuses(run), len(server.received)) == ({"answered": 12}, 6)


def test_texts_of_any_length_go_through(server: LoopbackLLM, tmp_path: Path) -> None:
    question = {"id": "long", "question": "Will it?", "background": "word " * 40_000}
    server.script = lambda received: Answer("So. " * 1_300_000 + "\nProbability: 3%")
    run = crowd(server, "openai/a").ask([question], out=tmp_path / "run")
    assert run.rows[0].probability == 0.03
    assert len(server.received[0].text) > 200_000
    line = json.loads((tmp_path / "run" / "calls.jsonl").read_text())
    assert line["truncated"] is True


def test_what_looks_like_a_key_is_not_written(
    server: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", "a-secret-of-no-usual-form")
    server.script = lambda received: Answer(f"You sent {received.headers['authorization']}.\nProbability: 5%")
    question = {"id": "q", "question": "Will sk-abcdefgh12345678 leak?"}
    asked = crowd(server, "openai/a", api_key_env="MY_SERVER_KEY").ask([question], out=tmp_path / "run")
    assert server.received[0].headers["authorization"] == "Bearer a-secret-of-no-usual-form"
    assert asked.rows[0].probability == 0.05
    written = "".join(path.read_text() for path in (tmp_path / "run").iterdir())
    assert "usual-form" not in written
    assert "abcdefgh" not in written
    assert "MY_SERVER_KEY" in written
    for path in (tmp_path / "run").iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_all_that_is_wrong_is_said_before_the_first_call(server: LoopbackLLM, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    bad = Crowd(["nosuch/m", "openai/a:0"], prompt="no-such-prompt", prices=tmp_path / "none.yaml", temperature=-1)
    with pytest.raises(InputError) as caught:
        bad.ask([{"id": "a", "question": ""}], out=tmp_path / "file", max_cost=-1, quorum=2)
    text = str(caught.value)
    for part in ("question", "no-such-prompt", "none.yaml", "temperature", "max_cost", "quorum", "is a file"):
        assert part in text
    with pytest.raises(InputError) as caught:
        Crowd(["nosuch/m", "openai/nobody-knows"]).ask(QUESTIONS, out=tmp_path / "run")
    for part in ("nosuch/m", "OPENAI_API_KEY", "its price is not known"):
        assert part in str(caught.value)
    assert not server.received
    assert not (tmp_path / "run").exists()
