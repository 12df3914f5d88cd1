"""A crowd of language models that are asked the same questions."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, Unpack

from hf_soup.errors import InputError
from hf_soup.forecasting.asking import AskOptions, Settings, ask_plan, unsettled_slots
from hf_soup.forecasting.backtests import back_tests
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.estimate import Estimate, estimate
from hf_soup.forecasting.forecasts import Forecasts, back_test_sentences
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.plan import Plan
from hf_soup.forecasting.preparation import Prices, Questions, Wish, prepare
from hf_soup.forecasting.run_folder import RECORD, problem_of_folder
from hf_soup.forecasting.running import Interruption
from hf_soup.progress import say

Result = TypeVar("Result")


class Crowd:
    """Asks every question of every member, as often as the member has samples.

    >>> crowd = Crowd(["openai/gpt-4o:3", "anthropic/claude-sonnet-4-5:3"])          # doctest: +SKIP
    >>> run = crowd.ask("questions.csv", out="run", max_cost=5)                      # doctest: +SKIP
    >>> print(run.table())                                                           # doctest: +SKIP

    `members`: names `provider/model[:samples]` as litellm writes them, a YAML file, or members; see `read_members`. `prompt`: a
    built-in one or a file, for members without one of their own. `api_base`: the server of the `openai/` members;
    `api_key_env`: the environment variable with its key, without which no key is sent there. `prices`: a YAML file
    or a table of dollars per million tokens, `{"openai/x": {"input": 2.5, "output": 10}}`; a member whose price
    nobody knows is refused unless `allow_unpriced`. `temperature`, `max_tokens`: for members that have none of their own.
    """

    def __init__(
        self,
        members: str | Path | Sequence[str | Member],
        *,
        prompt: str | Path = "superforecaster",
        api_base: str | None = None,
        api_key_env: str | None = None,
        prices: Prices | None = None,
        allow_unpriced: bool = False,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._wish = Wish(members, prompt, api_base, api_key_env, prices, allow_unpriced, temperature, max_tokens)

    def plan(
        self,
        questions: Questions,
        *,
        out: str | Path | None = None,
        refill: bool = False,
        unit: Unit = "fraction",
        columns: Mapping[str, str] | None = None,
    ) -> Estimate:
        """Returns calls, tokens and cost of each member. Sends nothing and needs no key; a missing one is among the problems.

        `out`, `refill`: as for `ask`; what a run in this folder has already is not in the figures. Raises InputError with every
        problem of questions, members, prompts and prices.
        """
        prepared = prepare(self._wish, questions, unit, columns)
        plan = prepared.plan
        if plan is None:
            raise InputError(prepared.problems)
        _say_all(prepared.notes)
        unsettled = None
        if out is not None and (Path(out) / RECORD).is_file():
            unsettled = _run(unsettled_slots(plan, Path(out), refill), Interruption())
        found = back_tests(plan.members, plan.questions, datetime.now(UTC))
        return estimate(plan, prepared.to_ask, back_test_sentences(found), unsettled)

    def ask(self, questions: Questions, *, out: str | Path, **options: Unpack[AskOptions]) -> Forecasts:
        """Asks, and returns when every slot is answered or accounted for.

        `out`: the folder of the run. A run that is there already goes on: what was answered is not asked again; what failed on
        its way, or was never asked, is. `options`: see `hf_soup.forecasting.asking.AskOptions`. Where an event loop runs already, as in a notebook,
        the calls are made in a thread. Ctrl-C ends the run cleanly: nothing new is sent, what is out gets some
        seconds, all is written, and KeyboardInterrupt is raised; the same call goes on.

        Raises InputError with everything that is wrong before the first call, SoupError where the disk is full.
        """
        plan, settings = self._prepared(questions, Path(out), options)
        interruption = Interruption()
        return _run(_ask_and_close(plan, settings, interruption), interruption)

    async def ask_async(self, questions: Questions, *, out: str | Path, **options: Unpack[AskOptions]) -> Forecasts:
        """As `ask`, within the running event loop. Where its task is cancelled, all that was answered is kept."""
        plan, settings = self._prepared(questions, Path(out), options)
        return await ask_plan(plan, settings, Interruption())

    def _prepared(self, questions: Questions, out: Path, options: AskOptions) -> tuple[Plan, Settings]:
        unknown = set(options) - set(AskOptions.__annotations__)
        if unknown:
            raise TypeError(
                f"ask() has no option {', '.join(sorted(unknown))}; known: {', '.join(AskOptions.__annotations__)}"
            )
        unit, columns = options.get("unit", "fraction"), options.get("columns")
        settings = Settings(out, **{name: value for name, value in options.items() if name not in ("unit", "columns")})  # type: ignore[arg-type]
        prepared = prepare(self._wish, questions, unit, columns)
        folder = problem_of_folder(out)
        problems = [*prepared.problems, *prepared.to_ask, *settings.problems(), *([folder] if folder else [])]
        if problems or prepared.plan is None:
            raise InputError(problems)
        _say_all(prepared.notes)
        return prepared.plan, settings


def _say_all(notes: Sequence[str]) -> None:
    for note in notes:
        say(note)


async def _ask_and_close(plan: Plan, settings: Settings, interruption: Interruption) -> Forecasts:
    try:
        return await ask_plan(plan, settings, interruption)
    finally:
        await litellm().close_litellm_async_clients()  # they belong to this loop, which ends


def _run(work: Coroutine[Any, Any, Result], interruption: Interruption) -> Result:
    """In an event loop of its own; where one runs in this thread, in another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with _signals(interruption):
            return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, work)
        try:
            return running.result()
        except KeyboardInterrupt:
            interruption.happen()
            raise


@contextmanager
def _signals(interruption: Interruption) -> Iterator[None]:
    """Within the block, Ctrl-C and a request to end interrupt the run; what comes after them does what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}

    def interrupt(number: int, frame: FrameType | None) -> None:
        interruption.happen()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
