"""From Hub IDs and a CSV to a published ensemble that somebody else loads, uses and verifies: over real HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from published_ensembles import files, held_out, on_hub
from tiny_models import sentences

from hf_soup import verify
from hf_soup.ensembles import Ensemble

pytestmark = pytest.mark.hub

ELSEWHERE = """
import json, sys
from hf_soup import HeldOut, verify
from hf_soup.ensembles import Ensemble

repo, texts, data = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
ensemble = Ensemble.from_pretrained(repo)
found = ensemble.predict(texts)
held_out = HeldOut(data, task="text-classification")
checked = verify(repo, data=data)
answers = {
    "probabilities": found.probabilities.tolist(),
    "labels": found.labels,
    "weights": ensemble.weights,
    "accuracy": ensemble.evaluate(held_out).of(held_out.name)["accuracy"].value,
    "exit_code": checked.exit_code,
    "figures": checked.recomputed.figures,
    "largest": checked.recomputed.largest,
    "said": str(checked),
}
print(json.dumps(answers))
"""


def test_fit_evaluate_push_load_elsewhere_predict_verify(hub, repo, tmp_path):
    ensemble = Ensemble(on_hub()).fit(held_out(), folds=2, tests={"test": files()["test"]})
    assert set(ensemble.weights) == {"bert", "distil"}
    url = ensemble.push_to_hub(repo)
    assert repo in url
    here = verify(repo)
    assert here.exit_code == 0, str(here)
    assert len(here.ingredients) == 3
    assert "NOT computed again" in str(here)
    texts = [row["text"] for row in sentences(30, 7)]
    expected = ensemble.predict(texts)
    elsewhere = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, repo, json.dumps(texts), str(files()["held_out"])],
        env=os.environ | {"HF_HOME": str(tmp_path / "another home"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert elsewhere.returncode == 0, elsewhere.stderr
    found = json.loads(elsewhere.stdout.splitlines()[-1])
    np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-6)
    assert found["labels"] == expected.labels
    assert found["weights"] == pytest.approx(ensemble.weights)
    data = ensemble.member_probabilities(held_out())
    right = ensemble.combination.combine(data.values).argmax(axis=1) == data.labels
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["exit_code"] == 0, found["said"]
    assert "figures were computed again and agree; not computed again: test." in found["said"]
    assert found["figures"] > 0
    assert found["largest"] < 1e-6
