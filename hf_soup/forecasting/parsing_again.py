"""All transcripts of a run, read again with the parsers of this version, without a call."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_soup.forecasting.call import Call, Forecast
from hf_soup.forecasting.call_log import CallLog
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.forecasting.reading import AnswerForm
from hf_soup.forecasting.rows import Asked, read_calls, row
from hf_soup.forecasting.run_folder import RunFolder, read_record, read_rows


@dataclass(frozen=True)
class Change:
    """A row that is read differently now."""

    before: Forecast
    after: Forecast

    def __str__(self) -> str:
        where = f"{self.after.question_id}, {self.after.model}, sample {self.after.sample}"
        turn = f", turn {self.after.turn + 1}" if self.after.turn else ""
        return f"{where}{turn}: {_shown(self.before)} → {_shown(self.after)}"


def parse_again(path: str | Path) -> tuple[Forecasts, list[Change]]:
    """Returns the run as it is read now, which is written to its folder, and what changed.

    Also rows whose answers a killed process had logged but not read. A row without a logged call stays as it is. Raises
    InputError where the folder is no run, or another process is at work on it.
    """
    folder = Path(path)
    record = read_record(folder)
    with RunFolder(folder) as run:
        before = read_rows(folder)
        keys = _keys_by_slot(run.calls)
        after = [_read_row(each, record["prompts"][each.model], keys[each.slot], run.calls) for each in before]
        run.write_rows(after)
    changes = [Change(old, new) for old, new in zip(before, after, strict=True) if _differs(old, new)]
    return Forecasts.from_run(folder), changes


def _keys_by_slot(calls: CallLog) -> dict[str, list[str]]:
    """In the order of their first calls."""
    keys: dict[str, dict[str, None]] = defaultdict(dict)
    for call in calls.read():
        keys[call.slot][call.key] = None
    return defaultdict(list, {slot: list(found) for slot, found in keys.items()})


def _read_row(before: Forecast, prompt: dict[str, Any], keys: list[str], log: CallLog) -> Forecast:
    found = [log.find(key) for key in keys]
    calls = [call for call in found if call is not None and call.turn == before.turn]
    if not calls:
        return before
    calls.sort(key=lambda call: (call.refill, call.re_ask))
    first, re_ask = _last_round(calls)
    form = AnswerForm(prompt["form"])
    asked = Asked(
        slot=before.slot,
        question_id=before.question_id,
        member=before.model,
        sample=before.sample,
        prompt=before.prompt,
        prompt_digest=before.prompt_digest,
        form=form,
        negated=prompt["negated"],
        crowd_in_turns=tuple(prompt["crowd_in_turns"]),
    )
    return row(asked, before.turn, read_calls(first, re_ask, form), calls)


def _last_round(calls: list[Call]) -> tuple[Call, Call | None]:
    """The answer that counts and, where there was one, that to the request for the last line alone."""
    last = calls[-1]
    if not last.re_ask:
        return last, None
    return next(call for call in reversed(calls) if not call.re_ask), last


def _differs(before: Forecast, after: Forecast) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in ("status", "probability", "low", "high"))


def _shown(row: Forecast) -> str:
    if row.probability is None:
        return str(row.status)
    if row.low is None or row.high is None:
        return f"{100 * row.probability:g}%"
    return f"{100 * row.low:g}–{100 * row.high:g}%"
