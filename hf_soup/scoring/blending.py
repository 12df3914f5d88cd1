"""The models' aggregate and the human crowd, each alone and blended, scored on the same questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.comparison import Column, Comparison, compare_pairs
from hf_soup.scoring.comparison_document import comparison_document
from hf_soup.scoring.comparison_family import Family, family_of
from hf_soup.scoring.comparison_sentence import comparison_sentence, number
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, CrowdBlend, CrowdWeight, blend_with_crowd, why_not_alone
from hf_soup.scoring.documents import document
from hf_soup.scoring.score_rows import SCORES_HEADER, score_cells
from hf_soup.scoring.scores_table import ColumnScores, Kind, column_scores
from hf_soup.scoring.shown_numbers import counted
from hf_soup.scoring.table import ForecastTable
from hf_soup.text_table import text_table

BLEND, CROWD_ALONE = "blend with the crowd", "crowd alone"


@dataclass(frozen=True, repr=False)
class Blending:
    """`rows`: blend, crowd alone, models alone, on the resolved questions with a forecast of both. `family`: the comparisons of the
    blend with each of the others, adjusted together; they are shown beside the primary comparisons and are none of them.
    """

    blend: CrowdBlend
    rows: tuple[ColumnScores, ...]
    family: Family

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return self.family.comparisons

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the comparisons, each once and with what it is about."""
        return tuple(
            f"{BLEND}: {each}" for each in dict.fromkeys(each for pair in self.comparisons for each in pair.warnings)
        )

    def to_json(self) -> dict[str, Any]:
        told = ("how", "clip", "clipped", "left_out", "unchecked", "notes")
        return {
            **{name: document(getattr(self.blend, name)) for name in told},
            "columns": document(self.rows),
            "comparisons": [comparison_document(each) for each in self.comparisons],
            "adjustment": self.adjustment(),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        scores = ", ".join(f"{each.name} {number(each.brier)}" for each in self.rows)
        return f"<Blending: {scores} (Brier); print it for the tables>"

    def table(self) -> str:
        """Returns the three scores, how the blend was made, and the comparisons in words."""
        return "\n\n".join(
            [
                text_table([["on the same questions", *SCORES_HEADER[1:]], *map(score_cells, self.rows)]),
                "\n".join(self._how()),
                *map(comparison_sentence, self.comparisons),
                self.adjustment(),
            ]
        )

    def adjustment(self) -> str:
        """Returns how the p of these comparisons were adjusted."""
        return f"Comparisons with the blend are no primary ones, and are adjusted by themselves: {self.family.sentences('comparison')}"

    def _how(self) -> list[str]:
        b = self.blend
        said = [
            f"Blend in log odds: {b.how}; forecasts are kept between {b.clip:g} and {1 - b.clip:g}, which moved {b.clipped}."
        ]
        if b.left_out:
            said.append(
                f"{counted(b.left_out, 'question has', 'questions have')} a forecast of one side only: in none of the three."
            )
        if b.unchecked:
            said.append(
                f"Of {counted(b.unchecked, 'question')} it is not known whether the crowd's forecast is older than the models' (columns "
                "crowd_time and time)."
            )
        return said


def blending(
    table: ForecastTable, models: np.ndarray, name: str, *, crowd_weight: CrowdWeight = CROWD_WEIGHT, looks: int = 1
) -> Blending | str | None:
    """Returns the blend of the aggregate `models`, float64 [Q], called `name`; a sentence where there is none; None without a crowd.

    There is none where forecasts were made after the crowd's was shown, since they are not the models alone, and where no
    question has both. `looks`: how often these data were tested, this time included. Raises InputError as `blend_with_crowd` does,
    for a crowd dated after a forecast and for a wrong weight.
    """
    if np.isnan(table.crowd).all():
        return None
    both = ~(np.isnan(table.crowd) | np.isnan(models))
    if not both.any():
        return "No question has both a forecast of the models and one of the crowd: there is no blend."
    if reason := why_not_alone(table, both):
        return reason
    blend = blend_with_crowd(table, models, crowd_weight=crowd_weight)
    blended, crowd, alone = (
        Column(title, values)
        for title, values in (
            (BLEND, blend.blend),
            (CROWD_ALONE, blend.crowd),
            (f"models alone ({name})", blend.models),
        )
    )
    kinds = ((blended, Kind.BLEND), (crowd, Kind.CROWD), (alone, Kind.AGGREGATE))
    kept = ~np.isnan(blend.blend)
    return Blending(
        blend,
        column_scores(table.subset(kept), [(each.name, kind, each.values[kept]) for each, kind in kinds]),
        family_of(
            compare_pairs([(blended, crowd), (blended, alone)], np.where(kept, table.outcomes, np.nan), table.groups),
            looks=looks,
        ),
    )
