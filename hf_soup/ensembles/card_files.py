"""What stands beside the record of an ensemble: its card, the pictures in it, and the metrics as JSON."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

from hf_soup.ensembles.card import ensemble_card
from hf_soup.ensembles.plots import RELIABILITY_PICTURE, WEIGHTS_PICTURE, reliability_plot, weights_plot
from hf_soup.ensembles.record import EnsembleRecord
from hf_soup.ensembles.report import EnsembleReport
from hf_soup.merging.record import FileRecord
from hf_soup.publishing.card_files import marked
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard
from hf_soup.publishing.licences import Licence

METRICS_NAME = "metrics.json"
_SHOWS = {
    WEIGHTS_PICTURE: "Weights with their intervals",
    RELIABILITY_PICTURE: "How often the ensemble is right, by how sure it is",
}


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
    files = pictures_of(record)
    pictures = [(name, shows) for name, shows in _SHOWS.items() if name in files]
    if record.evidence is not None:
        report = EnsembleReport.from_json(record.evidence)
        files[METRICS_NAME] = (json.dumps(report.rows(), indent=1, ensure_ascii=False) + "\n").encode()
    files[CARD_NAME] = marked(ensemble_card(record, cards, licence, repo_id, pictures, secret)).encode()
    return files


def with_pictures(record: EnsembleRecord) -> EnsembleRecord:
    """Returns the record with the digests of its pictures."""
    digests = {
        name: FileRecord(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in pictures_of(record).items()
    }
    return record.model_copy(update={"pictures": digests})


def pictures_of(record: EnsembleRecord) -> dict[str, bytes]:
    """Returns the pictures by file name; the same bytes for the same figures and the same matplotlib.

    Raises ValueError for figures that cannot be drawn, such as a curve with more values on one axis than on the other.
    """
    return {} if record.evidence is None else dict(_drawn(json.dumps(record.evidence)))


@lru_cache(maxsize=4)
def _drawn(evidence: str) -> dict[str, bytes]:
    """For who asks again while one ensemble is saved or published: drawing takes longer than all else in a card."""
    report = EnsembleReport.from_json(json.loads(evidence))
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if report.weights:
            files[WEIGHTS_PICTURE] = weights_plot(report, Path(scratch) / WEIGHTS_PICTURE).read_bytes()
        if report.reliability:
            files[RELIABILITY_PICTURE] = reliability_plot(report, Path(scratch) / RELIABILITY_PICTURE).read_bytes()
    return files
