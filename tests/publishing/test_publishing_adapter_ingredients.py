"""A full model that was made of LoRA adapters: its card says so, names their base, and asks for what nobody can fetch."""

from __future__ import annotations

import json

import pytest
from publishing_samples import CONFIG, ingredient, record
from tiny_adapters import save_adapter, save_base

from hf_soup import Soup
from hf_soup.checkpoints.reference import is_hub_id
from hf_soup.errors import InputError
from hf_soup.merging.record import IngredientRecord, SoupRecord
from hf_soup.publishing import IngredientCard, Verdict, render_card, verify
from hf_soup.publishing.card_tables import hub_address
from hf_soup.publishing.places import Places

BASE = "tester/the-base"


def adapter(name: str, base: IngredientRecord) -> IngredientRecord:
    return ingredient(name).model_copy(update={"adapter_of": base})


def of_adapters(base: IngredientRecord, *more: IngredientRecord) -> SoupRecord:
    models = [adapter("tester/a", base), adapter("tester/b", base), *more]
    return record(tuple(one.name for one in models), ingredients=models)


def card_of(made: SoupRecord, **options) -> str:
    cards = [IngredientCard(one.name, base_models=(BASE,)) for one in made.ingredients]
    return render_card(made, cards, CONFIG, None, **options)


def test_the_card_names_the_adapters_and_their_base_once():
    base = ingredient(BASE)
    text = card_of(of_adapters(base))
    assert "All of the ingredients are LoRA adapters: what was merged is the base with the adapter's update" in text
    assert [line for line in text.splitlines() if line.startswith("|") and BASE in line] == [
        f"| [{BASE}]({hub_address()}/{BASE}/tree/{base.revision}) | `{base.revision}` |"
    ]
    assert text.count("(LoRA adapter)") == 2
    assert "2 of the ingredients are LoRA adapters" in card_of(of_adapters(base, ingredient("tester/full")))


def test_the_card_of_full_models_says_nothing_of_adapters():
    assert "adapter" not in card_of(record())


def test_a_base_that_cannot_be_fetched_is_asked_for():
    assert "hf-soup verify me/soup --ingredient 'folder=DIR'" in card_of(
        of_adapters(ingredient("folder", local=True)), repo_id="me/soup"
    )


def test_a_hidden_base_is_no_ancestor_and_has_an_alias():
    text = card_of(of_adapters(ingredient(BASE)), private=frozenset({BASE}))
    assert BASE not in text
    assert "Common ancestor" not in text
    alias = f"private-{ingredient(BASE).fingerprint[:8]}"
    assert f"| {alias} | none; digest" in text
    assert f"--ingredient '{alias}=DIR'" in text


def test_a_base_of_several_adapters_is_asked_for_once():
    base = ingredient("folder", local=True)
    recorded = [*of_adapters(base).ingredients, base, base]
    said = list(Places({}).problems(recorded))
    assert len(said) == 1
    assert "'folder' is not on the Hub" in said[0]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("me/run_1", True),
        ("_me/_run", True),
        ("gpt2", True),
        ("me/run/1", False),
        ("/me/run", False),
        ("mé/run", False),
        ("me/run\n", False),
        ("", False),
    ],
)
def test_what_may_be_the_name_of_a_repository(text, is_one):
    assert is_hub_id(text) is is_one


def test_another_base_in_the_card_is_a_contradiction(tmp_path):
    pytest.importorskip("peft")
    base = save_base(tmp_path / "base")
    runs = [save_adapter(tmp_path / f"run-{n}", base, seed=n, r=2, target_modules=["q_proj"]) for n in (1, 2)]
    Soup(runs).merge(out=tmp_path / "soup")
    places = {path.name: path for path in (base, *runs)}
    assert verify(tmp_path / "soup", ingredients=places).verdict is Verdict.IDENTICAL
    fingerprint = json.loads((tmp_path / "soup" / "soup.json").read_text())["ingredients"][0]["adapter_of"][
        "fingerprint"
    ]
    path = tmp_path / "soup" / "README.md"
    row = f"| base | none; digest `{fingerprint[:16]}` |"
    assert row in path.read_text()
    path.write_text(path.read_text().replace(row, "| another | none |"))
    found = verify(tmp_path / "soup", ingredients=places)
    assert found.contradictions == ("The card's table of the adapters' base is not the one that soup.json gives.",)
    with pytest.raises(InputError) as failure:
        verify(tmp_path / "soup", ingredients={run.name: run for run in runs})
    assert len(failure.value.problems) == 1
