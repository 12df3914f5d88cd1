"""Questions of the Autocast data set (Zou et al. 2022, arXiv 2206.15474), `autocast_questions.json`.

Written from the fields that readers of the data set use, not compared with the published file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_soup.forecasting.importers import Imported, importer, is_list_of_mappings


def _is_autocast(document: Any) -> bool:
    return is_list_of_mappings(document) and "qtype" in document[0]


@importer("Autocast", _is_autocast)
def autocast(document: Any, imported: Imported) -> None:
    """True-or-false questions only. `crowd` is the last forecast of the crowd before the question closed, with its time."""
    for entry in document:
        if entry.get("qtype") != "t/f":
            imported.skip(entry.get("id"), "not true-or-false")
            continue
        crowd, crowd_time = _last_forecast(entry.get("crowd"))
        imported.rows.append(
            {
                "id": entry.get("id"),
                "question": entry.get("question"),
                "background": entry.get("background"),
                "open_date": entry.get("publish_time"),
                "close_date": entry.get("close_time"),
                "resolution": entry.get("answer"),
                "crowd": crowd,
                "crowd_time": crowd_time,
                "topic": entry.get("category"),
                "source": "autocast",
            }
        )


def _last_forecast(crowd: Any) -> tuple[Any, Any]:
    if not isinstance(crowd, list):
        return None, None
    forecasts = [each for each in crowd if isinstance(each, Mapping) and each.get("forecast") is not None]
    if not forecasts:
        return None, None
    last = max(forecasts, key=lambda each: str(each.get("timestamp")))
    return last["forecast"], last.get("timestamp")
