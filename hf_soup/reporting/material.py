"""What a report is made from, read from files: forecasts, questions with their texts, and the run where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_soup.forecasting.cells import Unit
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.questions import read_questions
from hf_soup.forecasting.run_folder import read_record
from hf_soup.scoring.columns import read_columns
from hf_soup.scoring.read_forecasts import read_forecasts
from hf_soup.scoring.table import ForecastTable

Questions = str | Path | Sequence[Mapping[str, Any]] | Sequence[Question]


@dataclass(frozen=True)
class Material:
    """`questions`: None where all that is known of them stands beside the forecasts. `texts`: by id, those that are known."""

    table: ForecastTable
    questions: tuple[Question, ...] | None
    texts: Mapping[str, str]
    run: Forecasts | None


def read_material(
    data: Any,
    questions: Questions | None = None,
    *,
    unit: Unit,
    questions_unit: Unit | None = None,
    columns: Mapping[str, str] | None = None,
    **choice: Any,
) -> Material:
    """Returns everything for a report. Arguments and errors are those of `read_forecasts`, to which `choice` goes."""
    is_run = isinstance(data, str | Path) and Path(data).is_dir()
    of_crowd = questions_unit or unit
    if is_run and questions is None:
        questions, of_crowd = read_record(Path(data))["questions"], "fraction"
    read = None if questions is None else tuple(read_questions(questions, unit=of_crowd))
    table = read_forecasts(data, read, unit=unit, questions_unit=questions_unit, columns=columns, **choice)
    texts = _texts_beside(data, columns or {}) if read is None else {each.id: each.question for each in read}
    return Material(table, read, texts, Forecasts.from_run(data) if is_run else None)


def _texts_beside(data: Any, columns: Mapping[str, str]) -> dict[str, str]:
    """Of a column `question`, where the table of forecasts has one."""
    by_name = read_columns(data).by_name
    names = (columns.get(each, each) for each in ("question_id", "id"))
    id_column = next((name for name in names if name in by_name), None)
    text_column = columns.get("question", "question")
    if id_column is None or text_column not in by_name:
        return {}
    ids, texts = by_name[id_column], by_name[text_column]
    pairs = set(zip(ids.codes.tolist(), texts.codes.tolist(), strict=True))
    return {str(ids.cells[id]).strip(): str(texts.cells[text]) for id, text in pairs if texts.cells[text]}
