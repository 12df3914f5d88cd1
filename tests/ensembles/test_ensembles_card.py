"""The card of an ensemble: what stands in its head, what it says in words, and that names cannot break it."""

from __future__ import annotations

import ensemble_data
from published_ensembles import edit_record, ready_made

from hf_soup.ensembles import Ensemble
from hf_soup.ensembles.card import ensemble_card, front_matter, member_table
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
    ensemble = Ensemble.from_predictions(data).fit(tests={"test": test} if tests else None)
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


def test_names_cannot_break_out_of_the_card(tmp_path):
    from published_ensembles import copied

    folder = copied(ready_made(), tmp_path / "votes")

    def rename(found):
        found["classes"][0] = found["combination"]["classes"][0] = "<script>|`x`\n# Buy"

    edit_record(folder, rename)
    text = ensemble_card(EnsembleRecord.read(folder / ENSEMBLE_RECORD), [], None)
    assert "<script>" not in text
    assert "\n# Buy" not in text
