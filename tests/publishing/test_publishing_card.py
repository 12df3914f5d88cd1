"""The card says what was done and never more than the evidence."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import ModelCard
from publishing_samples import CONFIG, NAMES, evidence, ingredient, record, selection

from hf_soup.localhub.cardrules import check_card
from hf_soup.publishing import IngredientCard, Licence, common_ancestor, render_card
from hf_soup.publishing.architectures import USAGES
from hf_soup.publishing.card_files import is_generated, marked
from hf_soup.publishing.front_matter import split_front_matter
from hf_soup.publishing.ingredient_cards import parse_card
from hf_soup.publishing.private_names import without_names

MIT = Licence("mit")


def cards(names=NAMES[:3], **fields) -> list[IngredientCard]:
    return [IngredientCard(name, **{"licence": MIT, "base_models": ("x/base",), **fields}) for name in names]


def rendered(made=None, given=None, config=CONFIG, licence=MIT, **options) -> ModelCard:
    made = made or record()
    given = given if given is not None else cards([one.name for one in made.ingredients])
    text = render_card(made, given, config, licence, **options)
    assert check_card(text, "model").errors == []
    return ModelCard(text)


def test_front_matter_names_what_the_model_was_made_from():
    data = rendered(given=cards(languages=("en", "de"), datasets=("a/b",)), repo_id="me/soup").data
    assert data.base_model == list(NAMES[:3])
    assert data.base_model_relation == "merge"
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "text-classification"
    assert data.language == ["en", "de"]
    assert data.datasets == ["a/b"]
    assert data.license == "mit"
    assert data.tags == ["merge", "model-soup", "hf-soup"]


def test_results_carry_the_published_soup_s_figures_and_the_data_they_hold_for():
    data = rendered(record(evidence=evidence(), selection=selection()), repo_id="me/soup").data
    found = {one.dataset_split: one for one in data.eval_results}
    assert set(found) == {"held-out", "test", "adjectives"}
    assert found["test"].metric_value == 0.929
    assert found["test"].metric_type == "accuracy"
    assert "test.csv" in found["test"].dataset_name
    assert "1500 rows" in found["test"].dataset_name
    assert "95% interval" in found["test"].metric_name
    assert found["test"].task_type == "text-classification"
    assert data.model_name == "soup"


def test_without_evidence_the_card_says_so_and_has_no_results():
    card = rendered()
    assert "This model was not evaluated when it was made." in card.content
    assert card.data.eval_results is None
    assert "better" not in card.content


def test_statements_of_the_evidence_stand_in_the_card_word_for_word():
    sentence = "Held-out scores were optimised and are no estimate."
    card = rendered(record(evidence={**evidence(), "statements": [sentence]}))
    assert sentence in card.content


def test_every_figure_stands_with_its_interval():
    text = rendered(record(evidence=evidence())).content
    assert "| **greedy soup** | 89.10 [87.52, 90.68] |" in text
    assert "+1.30 [+0.20, +2.40]" in text


def test_a_metric_that_is_no_fraction_is_not_shown_in_percent():
    found = evidence()
    found |= {"metric": "perplexity", "maximise": False}
    found["rows"][8]["results"]["test"] = {"value": 12.34567, "low": 12.0, "high": 13.0, "n": 10}
    text = rendered(record(evidence=found)).content
    assert "12.3457 [12.0000, 13.0000]" in text
    assert "lower is better" in text
    assert "percent" not in text


def test_held_out_figures_are_called_optimistic():
    assert "used for the selection, so scores on it are optimistic" in rendered(record(evidence=evidence())).content


def test_the_table_gives_commit_and_share_of_each_ingredient():
    made = record(parameters={"weight": [3.0, 1.0, 0.0], "normalize": True})
    text = rendered(made).content
    for one, share in zip(made.ingredients, ("0.7500", "0.2500", "0.0000"), strict=True):
        [row] = [line for line in text.splitlines() if line.startswith(f"| [{one.name}]")]
        assert f"`{one.revision}`" in row
        assert row.endswith(f"| {share} |")


def test_the_path_of_the_selection_is_told():
    text = rendered(record(selection=selection()), plot="selection.png").content
    assert "![Score of the soup after each step of the selection](selection.png)" in text
    assert "| 4 | tester/run-3 | 4 | 88.70 | left out |" in text
    assert "is not worse than" in text
    assert "chosen on held-out data from 5 candidates" in text


def test_the_method_s_source_is_cited():
    assert "arXiv 2203.05482" in rendered().content


def test_the_common_ancestor_is_named_once_all_cards_agree():
    assert "Common ancestor: `x/base`" in rendered().content
    mixed = [*cards(NAMES[:2]), IngredientCard(NAMES[2], base_models=("y/base",))]
    assert "Common ancestor" not in rendered(given=mixed).content
    assert common_ancestor([IngredientCard("a"), IngredientCard("b")]) is None


def test_a_recorded_base_is_the_common_ancestor():
    assert "Common ancestor: [tester/base](" in rendered(record(base=ingredient("tester/base"), donor=None)).content


def test_a_local_ingredient_stands_in_the_table_and_not_in_the_front_matter():
    made = record()
    made.ingredients[1] = ingredient("run-b", local=True)
    card = rendered(made)
    assert card.data.base_model == [NAMES[0], NAMES[2]]
    assert "| run-b | none; digest `" in card.content
    assert "--ingredient 'run-b=DIR'" in card.content


def test_only_local_ingredients_leave_base_model_out():
    made = record(
        ingredients=[ingredient("a", local=True), ingredient("b", local=True)], parameters={"weight": [1, 1]}
    )
    data = rendered(made).data
    assert data.base_model is None
    assert "base_model_relation" not in data.to_dict()


def test_a_private_name_is_nowhere_in_a_public_card():
    secret = NAMES[1]
    made = record(selection=selection(), evidence=evidence())
    given = cards(datasets=("tester/secret-data",))
    card = rendered(made, given, repo_id="me/soup", private=frozenset(NAMES[:3]))
    assert not any(name in card.content for name in NAMES[:3])
    assert "tester/secret-data" not in card.content
    assert f"private-{ingredient(secret).fingerprint[:8]}" in card.content
    assert NAMES[3] in card.content
    assert secret in rendered(made, given, private=frozenset([secret]), name_private=True).content


def test_two_commits_of_one_private_repository_have_names_of_their_own_in_the_selection_too():
    first, second = (
        ingredient("tester/run-0"),
        ingredient("tester/run-1").model_copy(update={"name": "tester/run-0", "repo_id": "tester/run-0"}),
    )
    found = selection()
    found["candidates"][1] |= {"name": "tester/run-0", "repo_id": "tester/run-0"}
    made = record(ingredients=[first, second], parameters={"weight": [1.0, 1.0]}, selection=found)
    shown = without_names(made, frozenset(["tester/run-0"]))
    expected = [f"private-{one.fingerprint[:8]}" for one in (first, second)]
    assert [one.name for one in shown.ingredients] == expected
    assert [one["name"] for one in shown.selection["candidates"][:2]] == expected
    assert "tester/run-0" not in shown.model_dump_json()


def test_a_judge_without_rows_has_no_row_count():
    found, chosen = evidence(), selection()
    name = "score command judge.py"
    found["sets"] = [{**found["sets"][0], "data": name, "rows": None}]
    for row in found["rows"]:
        row["results"] = {"held-out": {"value": 0.9, "low": None, "high": None, "n": 0}}
    chosen["data"] = {"name": name, "rows": 0, "fingerprint": "ab" * 32, "task": None}
    card = rendered(record(evidence=found, selection=chosen), repo_id="me/soup")
    assert f"on `{name}`." in card.content
    assert card.data.eval_results[0].dataset_name == f"{name} (held-out)"
    assert "rows" not in str(card).replace("same rows", "")


def test_a_name_that_begins_like_a_private_one_stays():
    made = record(("tester/run", "tester/run-0", "tester/run.b"))
    text = rendered(made, private=frozenset(["tester/run"])).content
    assert "[tester/run-0](" in text
    assert "[tester/run.b](" in text
    assert "[tester/run](" not in text


@pytest.mark.parametrize("name", ["a|b", "x\n# Title", "<script>", "`code`", "a}} {{ b"])
def test_names_of_folders_and_files_cannot_break_the_card(name):
    made = record(
        ingredients=[ingredient(name, local=True), ingredient("b", local=True)], parameters={"weight": [1, 1]}
    )
    text = rendered(made).content
    assert "\n# Title" not in text
    assert "<script>" not in text
    header = next(line for line in text.splitlines() if line.startswith("| Ingredient"))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(row.replace("\\|", "").count("|") == header.count("|") for row in rows)


@pytest.mark.parametrize(("suffix", "usage"), USAGES.items())
def test_the_code_uses_a_class_that_transformers_has(suffix, usage):
    import transformers

    text = rendered(config={"architectures": [f"Some{suffix}"]}, repo_id="me/soup").content
    code = text.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert f'{usage.auto_class}.from_pretrained("me/soup")' in code
    assert hasattr(transformers, usage.auto_class)
    assert hasattr(transformers, usage.preprocessor)


def test_a_model_that_transformers_does_not_know_has_code_without_it():
    card = rendered(config={})
    assert "load_file" in card.content
    assert card.data.library_name is None
    compile(card.content.split("```python\n")[1].split("```")[0], "card", "exec")


def test_remote_code_is_announced_in_the_loading_code():
    config = {**CONFIG, "auto_map": {"AutoModel": "modeling_mine.Mine"}}
    assert "trust_remote_code=True" in rendered(config=config).content


@pytest.mark.parametrize(
    "text",
    ["", "no front matter", "---\n: :\n  - [\n---\nbody", "---\n- a list\n---\n", "---\nlicense: mit\nnever closed"],
)
def test_cards_that_people_write_are_read_without_complaint(text):
    assert parse_card(split_front_matter(text)[0], "me/run") == IngredientCard("me/run")


def test_odd_values_in_a_card_are_left_out():
    metadata = yaml.safe_load(
        "language: [no, English, de]\ndatasets: [a/b, '../c', 3]\nbase_model: /home/x/base\nlicense: [mit]"
    )
    card = parse_card(metadata, "me/run")
    assert card.languages == ("no", "de")
    assert card.datasets == ("a/b",)
    assert card.base_models == ()
    assert card.licence == MIT


def test_the_same_record_gives_the_same_card():
    made = record(selection=selection(), evidence=evidence())
    assert str(rendered(made)) == str(rendered(made))


def test_a_generated_card_is_told_from_an_edited_one():
    card = marked(str(rendered()))
    assert is_generated(card)
    assert is_generated(card.replace("\n", "\r\n"))
    assert not is_generated(card.replace("merge", "mix", 1))
    assert not is_generated(str(rendered()))


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_figures_without_an_interval_or_value_are_shown_as_such(missing):
    found = evidence()
    found["rows"][8]["results"]["test"] = {"value": 0.9, "low": None, "high": None, "n": 10}
    found["rows"][8]["results"]["adjectives"] = {"value": missing, "low": None, "high": None, "n": 10}
    text = rendered(record(evidence=found)).content
    row = next(line for line in text.splitlines() if "**greedy soup**" in line)
    assert "| 90.00 |" in row
