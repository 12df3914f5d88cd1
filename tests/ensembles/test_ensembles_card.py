"""The card of an ensemble: what stands in its head, what it says in words, and that names cannot break it."""

from __future__ import annotations

import re
import shlex

import ensemble_data
import numpy as np
import pytest
from published_ensembles import edit_record, ready_made
from tiny_models import write_csv

from hf_soup.cli import main
from hf_soup.ensembles import Ensemble
from hf_soup.ensembles.card import ensemble_card, front_matter, member_table
from hf_soup.ensembles.prediction_files import read_predictions
from hf_soup.ensembles.private_members import without_private_names
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord, MemberRecord
from hf_soup.localhub.cardrules import check_card
from hf_soup.merging.record import FileRecord, IngredientRecord
from hf_soup.publishing.ingredient_cards import IngredientCard
from hf_soup.publishing.licences import Licence

NAMES = ("me/big-1", "me/big-2", "me/small")


def model(name: str, *, local: bool = False) -> IngredientRecord:
    digest = f"{sum(map(ord, name)):064x}"
    place = {} if local else {"repo_id": name, "revision": digest[:40]}
    return IngredientRecord(
        name=name, fingerprint=digest[::-1], files={"model.safetensors": FileRecord(size=1, sha256=digest)}, **place
    )


def record(tests: bool = True) -> EnsembleRecord:
    """That of an ensemble of three models, with a report on predictions that were made for them."""
    data, test = ensemble_data.members(120), ensemble_data.members(60, seed=1)
    for each in (data, test):
        object.__setattr__(each, "members", NAMES)
    ensemble = Ensemble.from_predictions(data).fit(folds=2, tests={"test": test} if tests else None)
    from hf_soup.ensembles.saving import record_of

    found = record_of(ensemble)
    families = [
        family.model_copy(
            update={
                "members": [
                    MemberRecord(name=member.name, source="model", models=[model(member.name)])
                    for member in family.members
                ]
            }
        )
        for family in found.families
    ]
    return found.model_copy(update={"families": families, "task": "text-classification"})


RECORD = record()
CARDS = [IngredientCard(name, Licence("mit"), ("en",), ("me/rows",), "text-classification") for name in NAMES]


def test_the_head_names_models_licence_task_and_figures_that_the_hub_accepts():
    head = front_matter(RECORD, CARDS, Licence("mit"), "me/votes")
    assert head["base_model"] == list(NAMES)
    assert head["license"] == "mit"
    assert head["pipeline_tag"] == "text-classification"
    assert head["library_name"] == "hf-soup"
    results = head["model-index"][0]["results"]
    assert [one["dataset"]["split"] for one in results] == ["held-out", "test"]
    assert {metric["type"] for metric in results[0]["metrics"]} == {"accuracy", "f1_macro", "auc", "nll", "ece"}
    found = check_card(ensemble_card(RECORD, CARDS, Licence("mit"), "me/votes"), "model")
    assert found.errors == []


def test_members_stand_there_with_commit_and_weight():
    lines = member_table(RECORD)
    assert len(lines) == 5
    assert "[me/big-1](" in lines[2]
    assert f"`{RECORD.ingredients[0].revision}`" in lines[2]
    shares = [float(line.rstrip(" |").rpartition("|")[2]) for line in lines[2:]]
    assert abs(sum(shares) - 1) < 1e-3


def test_what_was_not_tested_is_said():
    tested, untested = ensemble_card(RECORD, CARDS, None), ensemble_card(record(tests=False), CARDS, None)
    assert "there was no test set" in untested
    assert "there was no test set" not in tested
    assert "each row was taken for itself" in tested
    assert "Speed: no time was measured" in tested


def test_the_same_record_gives_the_same_card():
    assert ensemble_card(RECORD, CARDS, None, "me/votes") == ensemble_card(RECORD, CARDS, None, "me/votes")


def test_private_names_are_nowhere_in_the_card_and_the_record():
    hidden = without_private_names(RECORD, frozenset({"me/big-1"}))
    text = ensemble_card(hidden, CARDS, None, "me/votes", secret={"me/big-1"}) + hidden.model_dump_json()
    assert "me/big-1" not in text
    assert "me/big-2" in text
    assert "1 of these models is private" in text
    assert without_private_names(RECORD, frozenset()) is RECORD


def test_code_and_commands_fit_what_has_to_be_supplied():
    families = [family.model_copy() for family in RECORD.families]
    families[1] = families[1].model_copy(
        update={"members": [MemberRecord(name="me/small", source="model", models=[model("mine", local=True)])]}
    )
    text = ensemble_card(RECORD.model_copy(update={"families": families}), CARDS, None, "me/votes")
    assert "Ensemble.from_pretrained(\"me/votes\", members={'mine': …})" in text
    assert "hf-soup verify me/votes --ingredient 'mine=DIR'" in text
    assert "1 of these models was a folder on the author's machine" in text


def test_the_tables_beyond_the_verdict_are_folded_away():
    text = ensemble_card(RECORD, CARDS, None)
    before, _, folded = text.partition("<details>")
    folded, _, after = folded.partition("</details>")
    titles = re.compile(r"^\*\*(.+)\*\*$", re.MULTILINE)
    assert [title.split(":")[0] for title in titles.findall(before)] == ["test (60 rows)", "test (60 rows)"]
    assert len(titles.findall(folded)) > 4
    assert f"<summary>{len(titles.findall(folded))} more tables</summary>\n\n" in folded
    assert not titles.findall(after)
    assert "Warning: test has only 60 rows" in after


@pytest.fixture
def of_files(tmp_path):
    """An ensemble of predictions in files; its folder, and the folder of the files."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 60)
    paths = []
    for name in ("a", "b", "c"):
        chance = 1 / (1 + np.exp(-generator.normal(labels * 2.0 - 1)))
        rows = [{"id": str(row), "no": 1 - p, "yes": p} for row, p in enumerate(chance.tolist())]
        paths.append(write_csv(tmp_path / f"{name}.csv", rows))
    table = [{"id": str(row), "label": ("no", "yes")[label]} for row, label in enumerate(labels)]
    fit, later = write_csv(tmp_path / "held out.csv", table[:40]), write_csv(tmp_path / "later.csv", table[40:])
    data, tests = read_predictions({"x": paths[:2], "y": paths[2:]}, fit, {"later": later})
    return Ensemble.from_predictions(data).fit(method="equal", folds=2, tests=tests).save(tmp_path / "votes"), tmp_path


def test_of_predictions_in_files_the_card_says_only_what_is_so_and_its_command_works(of_files, capsys, monkeypatch):
    folder, place = of_files
    text = (folder / "README.md").read_text()
    assert "holds the members' names, the weights" in text
    assert "commit and file digests" not in text
    assert "at the commits above" not in text
    assert "**held out.csv**: `held out.csv`, 40 rows" in text
    assert "**later**: `later.csv`, 20 rows" in text
    command = shlex.split(re.search(r"With `(--data .+?)`", text)[1])
    assert command[:4] == ["--data", "held out.csv", "--data", "later.csv"]
    assert command[4:] == ["--predictions", "x=FILE,FILE", "--predictions", "y=FILE"]
    members = iter(("a.csv", "b.csv", "c.csv"))
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as end:
        main(["verify", str(folder), *(re.sub("FILE", lambda _: next(members), word) for word in command)])
    out, err = capsys.readouterr()
    assert end.value.code == 0, err
    assert re.search(r"; all [\d,]+ figures were computed again and agree\.", out.splitlines()[0]), out
    assert str(place) not in (folder / ENSEMBLE_RECORD).read_text() + text


def test_of_predictions_in_arrays_no_file_is_named():
    text = (ready_made() / "README.md").read_text()
    assert "--data" not in text
    assert "**held-out**: given in Python, 240 rows" in text
    assert "`verify(…, data=MemberProbabilities.of(…))`" in text


def test_names_cannot_break_out_of_the_card(tmp_path):
    from published_ensembles import copied

    folder = copied(ready_made(), tmp_path / "votes")

    def rename(found):
        found["classes"][0] = found["combination"]["classes"][0] = "<script>|`x`\n# Buy"

    edit_record(folder, rename)
    text = ensemble_card(EnsembleRecord.read(folder / ENSEMBLE_RECORD), [], None)
    assert "<script>" not in text
    assert "\n# Buy" not in text
