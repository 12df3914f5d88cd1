from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_models import save_bert

from hf_soup.evaluation import PredictionCache


@pytest.fixture(scope="session")
def berts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three BERT classifiers (negative, positive) of one architecture with different weights. Read only."""
    root = tmp_path_factory.mktemp("berts")
    return [save_bert(root / f"run-{seed}", seed) for seed in range(3)]


@pytest.fixture
def cache(tmp_path: Path) -> PredictionCache:
    return PredictionCache(tmp_path / "cache")
