"""What stands beside the record of an ensemble: its card, the pictures in it, and the metrics as JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from hf_soup.ensembles.card import ensemble_card
from hf_soup.ensembles.plots import RELIABILITY_PICTURE, WEIGHTS_PICTURE, reliability_plot, weights_plot
from hf_soup.ensembles.record import EnsembleRecord
from hf_soup.ensembles.report import EnsembleReport
from hf_soup.publishing.card_files import marked
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard
from hf_soup.publishing.licences import Licence

METRICS_NAME = "metrics.json"


def ensemble_card_files(
    record: EnsembleRecord,
    cards: Sequence[IngredientCard],
    licence: Licence | None,
    repo_id: str | None = None,
    secret: Collection[str] = (),
) -> dict[str, bytes]:
    """Returns README.md, pictures and metrics.json by file name; see `ensemble_card`.

    metrics.json has one object for each system, data set and metric, as `EnsembleReport.rows()`.
    """
    files: dict[str, bytes] = {}
    pictures: list[tuple[str, str]] = []
    if record.evidence is not None:
        report = EnsembleReport.from_json(record.evidence)
        files[METRICS_NAME] = (json.dumps(report.rows(), indent=1, ensure_ascii=False) + "\n").encode()
        with tempfile.TemporaryDirectory() as scratch:
            if report.weights:
                files[WEIGHTS_PICTURE] = weights_plot(report, Path(scratch) / WEIGHTS_PICTURE).read_bytes()
                pictures.append((WEIGHTS_PICTURE, "Weights with their intervals"))
            if report.reliability:
                files[RELIABILITY_PICTURE] = reliability_plot(report, Path(scratch) / RELIABILITY_PICTURE).read_bytes()
                pictures.append((RELIABILITY_PICTURE, "How often the ensemble is right, by how sure it is"))
    files[CARD_NAME] = marked(ensemble_card(record, cards, licence, repo_id, pictures, secret)).encode()
    return files
