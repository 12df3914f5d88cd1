"""The calibration plot of Study 1: a PNG or an SVG file with a diagram for the models and one for the humans."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from report_samples import table, write_csv

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.reporting import save_study1_plot
from hf_soup.scoring.study1_result import study1_result

pytest.importorskip("scoringrules")


def letters(path: Path) -> list[str]:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_plot_counts_the_questions_of_every_bin(tmp_path: Path):
    made = table(200, 3, 2)
    made = replace(made, values=np.clip(made.values + 0.0013, 0, 1))  # no median lies between two bins
    path = save_study1_plot(study1_result(made), tmp_path / "plot.svg")
    shown = letters(path)
    assert "Reliability of the median of the models" in shown
    assert "Reliability of the human crowd" in shown
    median = np.median(made.pooled(), axis=1)
    expected: Counter[str] = Counter()
    for forecasts in (median, made.crowd):
        counts = np.histogram(forecasts, bins=np.linspace(0, 1, 11))[0]
        expected.update(str(count) for count in counts if count)
    axis = Counter({"0": 4, "25": 4, "50": 4, "75": 4})  # two axes of percentages in each diagram
    assert Counter(each for each in shown if each.isdigit()) == expected + axis


def test_without_humans_there_is_one_diagram_half_as_wide(tmp_path: Path):
    both = save_study1_plot(study1_result(table(60)), tmp_path / "both.png")
    alone = save_study1_plot(study1_result(table(60, crowd=False)), tmp_path / "alone.png")
    widths = [struct.unpack(">I", path.read_bytes()[16:20])[0] for path in (both, alone)]
    assert widths[0] == 2 * widths[1]
    again = save_study1_plot(study1_result(table(60)), tmp_path / "again.png")
    assert again.read_bytes() == both.read_bytes()


def test_the_command_draws_it_beside_its_table(tmp_path: Path, capsys):
    forecasts = write_csv(tmp_path / "wide.csv", table(40))
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "study1", str(forecasts), "--plot", str(tmp_path / "plot.svg")])
    assert not ended.value.code
    assert capsys.readouterr().out.startswith("Study 1.")
    assert "Reliability of the human crowd" in letters(tmp_path / "plot.svg")


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "nowhere/plot.png"])
def test_other_places_are_refused_before_anything_is_read(tmp_path: Path, capsys, name):
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "study1", "gone.csv", "--plot", str(tmp_path / name)])
    assert ended.value.code == 2
    assert name in capsys.readouterr().err


def test_without_a_resolved_question_there_is_nothing_to_draw(tmp_path: Path):
    with pytest.raises(InputError, match="nothing to draw yet"):
        save_study1_plot(study1_result(table(5, resolved=0)), tmp_path / "plot.png")
