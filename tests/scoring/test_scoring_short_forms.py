"""What a notebook shows of a result: one short line with its most important number, and not its arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hf_soup.scoring.aggregation import aggregation
from hf_soup.scoring.bias_report import bias_report
from hf_soup.scoring.calibrating import calibrating
from hf_soup.scoring.comparing import comparing
from hf_soup.scoring.scoring import scoring
from hf_soup.scoring.study1_result import study1_result
from hf_soup.scoring.table import ForecastTable

pytest.importorskip("scoringrules")


def table() -> ForecastTable:
    """Every forecast is .8, three quarters end yes: the mean scores (.75 · .04 + .25 · .64) = .19."""
    return ForecastTable.of(np.full((60, 3), 0.8), np.arange(60) % 4 > 0, crowd=np.full(60, 0.7))


@pytest.mark.parametrize(
    ("make", "holds"),
    [
        (scoring, "mean .1900"),
        (study1_result, "median, Brier .1900 (n = 60)"),
        (comparing, "primary aggregate: mean"),
        (calibrating, "of the mean by shift"),
        (bias_report, "tests found a bias"),
        (aggregation, "(questions: 60): mean"),
        (lambda made: scoring(made).blending, "models alone (mean) .1900"),
    ],
)
def test_a_result_is_one_short_line_in_a_notebook_and_its_tables_when_printed(
    make: Callable[[ForecastTable], Any], holds: str
) -> None:
    result = make(table())
    assert holds in repr(result)
    assert len(repr(result)) < 200
    assert "\n" not in repr(result)
    assert str(result) == result.table()
    assert len(str(result).splitlines()) > 1
