"""Forecasts for reports: a ready-made table, and the folder of a run with refusals, failures, costs and back-tests."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.run_folder import RunFolder
from hf_soup.scoring.table import ForecastTable

SERVER = "http://10.1.2.3:8000/v1"
TEXTS = (
    "Will <script>alert(1)</script> win | the `election`?",
    "Will Bitcoin close between $40k and $50k on *31 December*?",
    "Will [this](https://evil.example) be a link\n# and this a heading?",
    "Wird es in Berlin schneien — 会下雪吗？",
)


def table(
    questions: int = 60, members: int = 3, samples: int = 2, *, resolved: int | None = None, crowd: bool = True
) -> ForecastTable:
    """Members that know a little; the first `resolved` questions, or all, have an outcome."""
    generator = np.random.default_rng(7)
    truth = generator.normal(size=questions)
    said = truth[:, None, None] + generator.normal(scale=0.7, size=(questions, members, samples))
    outcomes = (generator.random(questions) < 1 / (1 + np.exp(-truth))).astype(float)
    if resolved is not None:
        outcomes[resolved:] = np.nan
    return ForecastTable.of(
        np.round(1 / (1 + np.exp(-said)), 2),
        outcomes,
        crowd=1 / (1 + np.exp(-truth)) if crowd else None,
        members=[f"maker/model_{number}" for number in range(members)],
    )


def write_csv(path: Path, made: ForecastTable) -> Path:
    """A wide table with one sample, the texts of the questions beside it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "question", "resolution", "crowd", *made.members])
        for n, id in enumerate(made.questions):
            ended = "" if np.isnan(made.outcomes[n]) else int(made.outcomes[n])
            writer.writerow([id, TEXTS[n % len(TEXTS)], ended, made.crowd[n], *made.values[n, :, 0]])
    return path


def write_run(folder: Path, questions: int = 40, *, open_questions: int = 4) -> Path:
    """Three members on a server of one's own: the second refuses some, the third fails sometimes; the first is a back-test."""
    generator = np.random.default_rng(11)
    names = ["openai/alpha", "openai/beta", "openai/gamma"]
    asked, rows = [], []
    for n in range(questions):
        truth = generator.normal()
        question: dict[str, Any] = {"id": f"q{n}", "question": f"{TEXTS[n % len(TEXTS)]} ({n})", "topic": "Sport"}
        if n >= open_questions:
            question["resolution"] = "yes" if generator.random() < 1 / (1 + np.exp(-truth)) else "no"
        asked.append(question)
        for place, name in enumerate(names):
            for sample in range(2):
                probability = round(float(1 / (1 + np.exp(-truth - generator.normal(scale=0.7)))), 2)
                status, reason = Status.ANSWERED, None
                if place == 1 and n % 5 == 0:
                    status, reason = Status.REFUSED, f"it says: ask {SERVER}/admin"
                if place == 2 and n % 7 == 0:
                    status, reason = Status.FAILED, f"timeout: no answer from {SERVER} in 240 s"
                rows.append(
                    Forecast(
                        question_id=f"q{n}",
                        model=name,
                        sample=sample,
                        prompt="superforecaster",
                        probability=probability if status is Status.ANSWERED else None,
                        status=status,
                        reason=reason,
                        parser="percent_line" if status is Status.ANSWERED else None,
                        returned_model="/models/private/alpha.gguf",
                        input_tokens=900,
                        output_tokens=400,
                        cost=0.001 * (place + 1),
                        latency_s=2.0 + place,
                        slot=f"slot-{n}-{place}-{sample}",
                        prompt_digest="0" * 16,
                        time=datetime(2026, 1, 2, tzinfo=UTC),
                    )
                )
    back_tests = [{"member": names[0], "question_id": f"q{n}", "reasons": ["cutoff_unknown"]} for n in range(20)]
    with RunFolder(folder) as run:
        run.write_record(
            {
                "questions": asked,
                "members": [{"name": name, "api_base": SERVER} for name in names],
                "cost": sum(row.cost or 0.0 for row in rows),
                "quorum": 0.5,
                "back_tests": back_tests,
                "prices": {name: {"input": 1.0, "output": 2.0} for name in names},
            }
        )
        run.write_rows(rows)
    return folder
