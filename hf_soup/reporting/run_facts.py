"""What a report says of the run that its forecasts come from: who was asked how, what came back, and what it cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hf_soup.forecasting.backtests import BackTest
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.forecasting.reading import Status
from hf_soup.reporting.page import one_line

# An address with its scheme, a number of a machine, or a name with a port: none of them is the reader's business.
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b(?:[\w-]+\.)*[a-z][\w-]*:\d{2,5}\b",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:\\|/|~/)[\w.-]+(?:[/\\][\w.-]+)+")
ADDRESS, PATH = "[address]", "[path]"


@dataclass(frozen=True)
class MemberFacts:
    """One member's rows: how many, how many with a number, why the others have none (words → how many), and what they took.

    `cost` in dollars, None where no price was known; tokens likewise. `latency_s`: median of an answer.
    """

    name: str
    rows: int
    answered: int
    reasons: dict[str, int]
    cost: float | None
    input_tokens: int | None
    output_tokens: int | None
    latency_s: float | None


@dataclass(frozen=True)
class BackTests:
    """Answers of one member that are no forecasts, for one reason."""

    member: str
    reason: str
    questions: tuple[str, ...]


@dataclass(frozen=True)
class RunFacts:
    """`first`, `last`: when answers were sent for, None without any. `prompts`: names. `parsers`: what numbers were read by."""

    members: tuple[MemberFacts, ...]
    back_tests: tuple[BackTests, ...]
    prompts: tuple[str, ...]
    parsers: dict[str, int]
    flags: dict[str, int]
    first: datetime | None
    last: datetime | None
    cost: float | None
    below_quorum: tuple[str, ...]
    quorum: float


def run_facts(run: Forecasts, members: Sequence[str]) -> RunFacts:
    """Returns the facts about these members of a run, without addresses of servers and paths of this machine."""
    rows_of: dict[str, list[Forecast]] = {name: [] for name in members}
    for row in run.rows:
        if row.model in rows_of:
            rows_of[row.model].append(row)
    rows = [row for each in rows_of.values() for row in each]
    times = [row.time for row in rows if row.time is not None]
    return RunFacts(
        members=tuple(_member(name, of_member) for name, of_member in rows_of.items()),
        back_tests=_back_tests([each for each in run.back_tests if each.member in rows_of]),
        prompts=tuple(sorted({row.prompt if not _PATH.search(row.prompt) else PATH for row in rows})),
        parsers=dict(Counter(row.parser for row in rows if row.parser).most_common()),
        flags=dict(Counter(flag for row in rows for flag in row.flags).most_common()),
        first=min(times, default=None),
        last=max(times, default=None),
        cost=run.cost,
        below_quorum=tuple(run.below_quorum()),
        quorum=run.quorum,
    )


def public_reason(row: Forecast) -> str | None:
    """Returns why a row has no number, as others may read it; None for one that has.

    What a server or a library said about a failure may name servers and files: of that the kind alone is kept.
    """
    if row.status is Status.ANSWERED:
        return None
    reason = one_line(row.reason or str(row.status))
    if row.status is Status.FAILED:
        return reason.split(":", 1)[0]
    return without_places(reason)


def without_places(text: str) -> str:
    """Returns the text without addresses of servers and paths of files.

    >>> without_places("no answer from http://10.0.0.5:8000/v1, see /home/me/run/log.txt")
    'no answer from [address] see [path]'
    """
    return _PATH.sub(PATH, _ADDRESS.sub(ADDRESS, text))


def _member(name: str, rows: Sequence[Forecast]) -> MemberFacts:
    reasons = Counter(reason for row in rows if (reason := public_reason(row)) is not None)
    latencies = sorted(row.latency_s for row in rows if row.latency_s is not None)
    return MemberFacts(
        name=name,
        rows=len(rows),
        answered=sum(row.status is Status.ANSWERED for row in rows),
        reasons=dict(reasons.most_common()),
        cost=_total([row.cost for row in rows]),
        input_tokens=_total([row.input_tokens for row in rows]),
        output_tokens=_total([row.output_tokens for row in rows]),
        latency_s=latencies[len(latencies) // 2] if latencies else None,
    )


def _back_tests(found: Sequence[BackTest]) -> tuple[BackTests, ...]:
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        groups.setdefault((each.member, each.reason), []).append(each.question_id)
    return tuple(BackTests(member, reason, tuple(ids)) for (member, reason), ids in groups.items())


def _total(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
