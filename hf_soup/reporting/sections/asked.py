"""What was asked, of whom, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Grid, Points, Section, listed, one_line
from hf_soup.reporting.sections.cells import percent
from hf_soup.scoring.shown_numbers import counted

_SHOWN = 12


def asked(found: Findings) -> Section:
    """Returns questions, models and times in words, and the models with what they answered in a table."""
    return Section("asked", "What was asked, and of whom", (Points(tuple(_sentences(found))), _members(found)))


def _sentences(found: Findings) -> list[str]:
    table, scores = found.table, found.scoring.scores
    n = len(table.questions)
    ended = f"{counted(scores.resolved, 'is', 'are')} resolved"
    if scores.resolved:
        yes = float(np.nanmean(table.outcomes))
        ended += f" ({percent(yes)} of them with yes)"
    said = [f"{counted(n, 'question')}: {ended}, {scores.open:,} open, {scores.annulled:,} annulled."]
    groups = len(np.unique(table.groups))
    if groups < n:
        said.append(
            f"They belong to {counted(groups, 'group')}, such as one question at several dates: a group counts as one observation."
        )
    said += [
        f"{what}: {text}."
        for what, labels in (("Topics", table.topics), ("Sources", table.sources))
        if (text := _counts(labels))
    ]
    given = int((~np.isnan(table.values)).sum())
    samples = table.values.shape[2]
    said.append(
        f"{counted(len(table.members), 'model')} gave {counted(given, 'forecast')}"
        + (
            f", up to {samples} of a question each; a model's answers to a question are averaged first."
            if samples > 1
            else "."
        )
    )
    if found.run is not None and found.run.prompts:
        said.append(f"Prompt: {listed([one_line(each, 60) for each in found.run.prompts])}.")
    if times := _times(found):
        said.append(times)
    if found.has_crowd:
        known = counted(int((~np.isnan(table.crowd)).sum()), "question")
        seen = ", and models were shown it" if _crowd_was_shown(found) else ""
        said.append(f"The forecast of a human crowd or market is known for {known}{seen}.")
    return said


def _members(found: Findings) -> Grid:
    table = found.table
    given = (~np.isnan(table.values)).sum(axis=(0, 2))
    rows = [
        (
            member_name(name),
            f"{len(table.questions) - missing:,}",
            f"{missing:,}",
            f"{forecasts:,}",
            f"{forecasts / max(1, len(table.questions) - missing):.3g}",
        )
        for name, missing, forecasts in zip(table.members, table.missing.tolist(), given.tolist(), strict=True)
    ]
    return Grid(
        "Models, and how many questions they answered",
        ("model", "answered", "not answered", "forecasts", "forecasts a question"),
        tuple(rows),
    )


def _counts(labels: Sequence[str | None]) -> str:
    counts = Counter(label for label in labels if label)
    return listed([f"{one_line(label, 40)} {count:,}" for label, count in counts.most_common()], _SHOWN)


def _times(found: Findings) -> str | None:
    if found.table.times is None or np.isnan(found.table.times).all():
        return None
    first, last = (
        datetime.fromtimestamp(each, UTC).date().isoformat()
        for each in (np.nanmin(found.table.times), np.nanmax(found.table.times))
    )
    return (
        f"The forecasts were made on {first} (UTC)."
        if first == last
        else f"The forecasts were made from {first} to {last} (UTC)."
    )


def _crowd_was_shown(found: Findings) -> bool:
    shown = found.table.shown_crowd
    return shown is not None and bool((shown & ~np.isnan(found.table.values)).any())
