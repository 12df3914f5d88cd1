"""What asking a crowd costs beside the calls themselves.

Run: python tests/benchmarks/crowd_speed.py [--latency 1] [--at-once 64] [--samples 3] [--repeat 3]
A server in another process answers after the latency. The grid of 12 members, 31 questions and 3 samples is asked by a bare
loop of `litellm.acompletion` under a semaphore, and by `Crowd.ask`, with as many requests at once, in turns. One
`Crowd` of a few calls goes before, so that imports and first connections are over. Prints seconds, CPU seconds of this
process a call, what both are above the bare loop, and the peak of anonymous memory above what was held before; last, the
peak with three times as many samples. The bound is a ratio of 1.3 and 3 ms of CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from measured_process import MemoryWatch, memory_of
from measured_table import load

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "forecasting"))

from loopback_llm import Answer, LoopbackLLM

from hf_soup.forecasting import Crowd, Question
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.prompt import load_prompt

MEMBERS, QUESTIONS = 12, 31
PROMPT = "superforecaster"
MAX_TOKENS = 4_096


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_ms: float
    peak_mb: float


def serve(latency_s: float, told: Connection) -> None:
    reasons = "There are reasons for it and reasons against it, and base rates of similar events. " * 20
    answer = Answer(f"{reasons}\n\nProbability: 62.50%", latency_s=latency_s)
    with LoopbackLLM(lambda received: answer) as server:
        told.send(server.api_base)
        told.recv()


def questions() -> list[Question]:
    return [
        Question(f"q{number}", f"Will event number {number} happen?", background="Something is known about it. " * 30)
        for number in range(QUESTIONS)
    ]


async def bare(api_base: str, samples: int, at_once: int) -> None:
    """Nothing is read, kept or counted."""
    library, prompt = litellm(), load_prompt(PROMPT)
    semaphore = asyncio.Semaphore(at_once)

    async def one(model: str, messages: list[dict[str, str]]) -> None:
        async with semaphore:
            await library.acompletion(
                model=model,
                messages=messages,
                api_base=api_base,
                api_key="none",
                max_tokens=MAX_TOKENS,
                num_retries=0,
                max_retries=0,
            )

    async with asyncio.TaskGroup() as group:
        for question in questions():
            for member in range(MEMBERS):
                for _ in range(samples):
                    group.create_task(one(f"openai/m{member}", prompt.first(question)))
    await library.close_litellm_async_clients()


def crowd(api_base: str, samples: int, at_once: int) -> None:
    members = [f"openai/m{member}:{samples}" for member in range(MEMBERS)]
    with tempfile.TemporaryDirectory() as folder:
        asked = Crowd(members, prompt=PROMPT, api_base=api_base, allow_unpriced=True, max_tokens=MAX_TOKENS).ask(
            questions(), out=Path(folder) / "run", concurrency=at_once, per_provider=at_once
        )
    assert asked.answered == QUESTIONS * MEMBERS * samples


def measured(work: Callable[[], None], calls: int) -> Run:
    before = memory_of()
    assert before is not None
    start, cpu = time.perf_counter(), time.process_time()
    with MemoryWatch() as watch:
        work()
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return Run(wall_s, 1_000 * cpu_s / calls, watch.peak.anonymous - before.anonymous)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    calls = MEMBERS * QUESTIONS * given.samples
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(given.latency, theirs), daemon=True)
    server.start()
    api_base = ours.recv()
    crowd(api_base, 1, 2 * given.at_once)
    loops, crowds = [], []
    for _ in range(given.repeat):
        loops.append(measured(lambda: asyncio.run(bare(api_base, given.samples, given.at_once)), calls))
        crowds.append(measured(lambda: crowd(api_base, given.samples, given.at_once), calls))
    more = measured(lambda: crowd(api_base, 3 * given.samples, given.at_once), 3 * calls)
    ours.send(None)
    server.join()
    loop, asked = (
        Run(*(median(column) for column in zip(*map(_fields, runs), strict=True))) for runs in (loops, crowds)
    )
    print(f"{calls:,} calls of {given.latency:g} s, {given.at_once} at once, median of {given.repeat}; load {load()}")
    for name, run in (("litellm.acompletion", loop), ("Crowd.ask", asked)):
        print(f"{name:<20} {run.wall_s:7.2f} s  {run.cpu_ms:6.2f} ms CPU a call  {run.peak_mb:7.1f} MB")
    print(f"ratio {asked.wall_s / loop.wall_s:.3f}, CPU beside litellm {asked.cpu_ms - loop.cpu_ms:.2f} ms a call")
    print(f"{3 * calls:,} calls: peak {more.peak_mb:.1f} MB")


def _fields(run: Run) -> tuple[float, float, float]:
    return run.wall_s, run.cpu_ms, run.peak_mb


if __name__ == "__main__":
    main()
