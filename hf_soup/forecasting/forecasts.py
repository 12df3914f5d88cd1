"""The result of asking: a row for each turn of each slot, what is missing and why, and which forecasts are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from hf_soup.forecasting.backtests import BackTest, BackTestReason
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.judged import Judged, Questions, Source
from hf_soup.forecasting.reading import Status
from hf_soup.forecasting.ready_forecasts import ReadyForecasts
from hf_soup.forecasting.run_folder import read_record, read_rows
from hf_soup.text_table import text_table

DEFAULT_QUORUM = 0.5


@dataclass(frozen=True)
class Missing:
    """Of a member's rows those without a number. `by_status`: how many of each status, those that occur."""

    member: str
    rows: int
    answered: int
    by_status: dict[str, int]
    reasons: dict[str, int]

    @property
    def rate(self) -> float:
        return 1 - self.answered / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Forecasts(Judged):
    """`rows` in the order of questions, members, samples and turns, whenever they were answered. A row without an answer has no
    probability. `cost`: dollars spent in the folder of the run so far, lost answers at their worst case; None where no
    price was known. `path`: the folder.
    """

    rows: tuple[Forecast, ...]
    questions: tuple[str, ...]
    members: tuple[str, ...]
    back_tests: tuple[BackTest, ...]
    path: Path
    cost: float | None = None
    quorum: float = DEFAULT_QUORUM

    @classmethod
    def from_run(cls, path: str | Path) -> Forecasts:
        """Reads the folder of a run. Raises InputError where it is none."""
        folder = Path(path)
        record = read_record(folder)
        return cls(
            rows=tuple(read_rows(folder)),
            questions=tuple(question["id"] for question in record["questions"]),
            members=tuple(member["name"] for member in record["members"]),
            back_tests=tuple(
                BackTest(each["member"], each["question_id"], tuple(map(BackTestReason, each["reasons"])))
                for each in record.get("back_tests", [])
            ),
            path=folder,
            cost=record.get("cost"),
            quorum=record.get("quorum", DEFAULT_QUORUM),
        )

    @staticmethod
    def from_file(
        data: Any,
        questions: Questions | None = None,
        *,
        unit: Unit = "fraction",
        questions_unit: Unit | None = None,
        members: Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> ReadyForecasts:
        """Returns ready-made forecasts, which are judged like those of a run; nothing is read before something is asked of them.

        >>> Forecasts.from_file("forecasts.csv", "questions.csv", unit="percent").score()  # doctest: +SKIP

        `data`: a CSV, JSONL or Parquet file, a list of dicts or a `datasets.Dataset` with `question_id, model, probability` and where
        known `sample, time`, or `question_id` and a column for each model. The options are those of `read_forecasts`.
        """
        return ReadyForecasts(data, questions, unit, questions_unit, members, columns, where)

    def source(self, questions: Questions | None, questions_unit: Unit | None) -> Source:
        of_crowd = "fraction" if questions is None else questions_unit
        return Source(self.path, questions, {"unit": "fraction", "questions_unit": of_crowd})

    def costs(self) -> dict[str, float | None] | None:
        from hf_soup.scoring.read_rewordings import costs_of_run

        return costs_of_run(self.path)

    @property
    def answered(self) -> int:
        """How many rows have a probability."""
        return sum(row.status is Status.ANSWERED for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as one document."""
        return {
            "path": str(self.path),
            "rows": len(self.rows),
            "answered": self.answered,
            "cost": self.cost,
            "quorum": self.quorum,
            "below_quorum": self.below_quorum(),
            "missing": [{**asdict(each), "rate": each.rate} for each in self.missing()],
            "back_tests": [
                {"member": each.member, "question_id": each.question_id, "reasons": list(each.reasons)}
                for each in self.back_tests
            ],
            "forecasts": self.to_rows(),
        }

    def back_test_sentences(self) -> list[str]:
        """Returns which forecasts are none, and why, for every report."""
        return back_test_sentences(self.back_tests)

    def to_rows(self) -> list[dict[str, Any]]:
        """Returns the rows as tables, with the columns of `Forecast`: `question_id`, `model`, `sample`, `probability`, …"""
        return [row.model_dump(mode="json") for row in self.rows]

    def missing(self) -> list[Missing]:
        """Returns what is missing, by member, status and reason; members that lack nothing are in it too."""
        found = []
        for member in self.members:
            rows = [row for row in self.rows if row.model == member]
            without = [row for row in rows if row.status is not Status.ANSWERED]
            found.append(
                Missing(
                    member,
                    len(rows),
                    len(rows) - len(without),
                    dict(Counter(str(row.status) for row in without)),
                    dict(Counter(row.reason or str(row.status) for row in without).most_common()),
                )
            )
        return found

    def below_quorum(self, quorum: float | None = None) -> list[str]:
        """Returns the questions of whose slots a smaller share than `quorum` (that of the run without) was answered, be it in the
        first turn alone."""
        wanted = self.quorum if quorum is None else quorum
        slots = _last_answers(self.rows)
        rows = Counter(row.question_id for row in slots)
        answered = Counter(row.question_id for row in slots if row.status is Status.ANSWERED)
        return [question for question in self.questions if answered[question] < wanted * rows[question]]

    def table(self) -> str:
        """Returns members × questions as text: the median of a member's samples in percent and how many there are, or what
        became of them. Of a prompt with two turns the last one that was answered counts."""
        cells: dict[tuple[str, str], list[Forecast]] = {}
        for row in _last_answers(self.rows):
            cells.setdefault((row.question_id, row.model), []).append(row)
        header = ["question", *self.members]
        body = [
            [question, *(_cell(cells.get((question, member), [])) for member in self.members)]
            for question in self.questions
        ]
        return text_table([header, *body])


def back_test_sentences(found: Iterable[BackTest]) -> list[str]:
    """Returns a sentence for each member and reason, which names the questions."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        groups.setdefault((each.member, each.reason), []).append(each.question_id)
    return [
        f"{member}: {_number(len(ids), 'answer is a back-test', 'answers are back-tests')} and no forecast, since {reason}: "
        f"{', '.join(ids)}."
        for (member, reason), ids in groups.items()
    ]


def _last_answers(rows: Sequence[Forecast]) -> list[Forecast]:
    """One row for each slot: its last turn with a number, else the first that lacks one."""
    kept: dict[tuple[str, str, int], Forecast] = {}
    for row in rows:
        slot = (row.question_id, row.model, row.sample)
        if slot not in kept or row.status is Status.ANSWERED:
            kept[slot] = row
    return list(kept.values())


def _cell(rows: Sequence[Forecast]) -> str:
    numbers = [row.probability for row in rows if row.probability is not None]
    missing = Counter(str(row.status) for row in rows if row.probability is None)
    words = [f"{count} {status}" for status, count in missing.items()]
    if numbers:
        words.insert(0, f"{100 * median(numbers):.1f}% ({len(numbers)})")
    return ", ".join(words) or "–"


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
