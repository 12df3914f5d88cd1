"""From Hub IDs and a CSV to a published, verified soup: the API of the README over real HTTP."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fine_tunes import data, published
from tiny_models import read_json, sentences

from hf_soup import HeldOut, Soup, verify
from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError
from hf_soup.selection.evidence import Evidence
from hf_soup.selection.select import replay

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def ids() -> list[str]:
    return list(published())


def held_out(**options) -> HeldOut:
    return HeldOut(data()["held_out"], task="text-classification", metric="accuracy", **options)


@pytest.fixture(scope="module")
def greedy(ids, tmp_path_factory):
    out = tmp_path_factory.mktemp("greedy") / "soup"
    return Soup(ids).greedy(held_out(), out=out, test=data()["test"], shifts={"elsewhere": data()["shift"]})


def logits_of(source) -> torch.Tensor:
    """Plain transformers, one sentence at a time."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, words = AutoModelForSequenceClassification.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    with torch.no_grad():
        rows = [model(**words(row["text"], return_tensors="pt")).logits[0] for row in sentences(300, 1)]
    return torch.stack(rows)


def test_six_lines_lead_from_hub_ids_to_a_verified_published_soup(ids, hub, tmp_path, repo):
    soup = Soup(ids)
    merged = soup.greedy(held_out(), out=tmp_path / "soup")
    url = merged.push_to_hub(repo)
    assert repo in url
    assert verify(repo).exit_code == 0
    published_logits = logits_of(repo)
    assert torch.equal(published_logits, logits_of(merged.path))
    assert type(merged.load()).__name__ == "BertForSequenceClassification"


def test_the_uniform_soup_is_the_mean_of_the_models_that_transformers_loads(ids, tmp_path):
    from transformers import AutoModelForSequenceClassification

    merged = Soup(ids).merge("linear", out=tmp_path / "soup").load().state_dict()
    singles = [AutoModelForSequenceClassification.from_pretrained(name).state_dict() for name in ids]
    for name, tensor in merged.items():
        mean = torch.stack([single[name].double() for single in singles]).mean(0)
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)


def test_the_score_of_the_soup_is_that_of_the_folder_loaded_again(greedy):
    labels = torch.tensor([row["label"] == "positive" for row in sentences(300, 1)]).long()
    accuracy = (logits_of(greedy.path).argmax(-1) == labels).double().mean().item()
    row = greedy.report.row("greedy soup")
    assert row.results["held-out"].value == pytest.approx(accuracy, abs=1e-12)
    assert greedy.recipe.selection["steps"][-1]["score"] <= accuracy + 1e-12


def test_the_greedy_soup_is_not_worse_than_the_best_single_on_held_out_data(greedy):
    best, soup = greedy.report.row("best single"), greedy.report.row("greedy soup")
    assert soup.results["held-out"].value >= best.results["held-out"].value


def test_the_published_log_replays_to_the_published_choice(greedy):
    selection = read_json(greedy.path / "soup.json")["selection"]
    path = replay(selection)
    assert list(path.chosen) == selection["chosen"]
    assert [step.accepted for step in path.steps] == [step["accepted"] for step in selection["steps"]]


def test_the_evidence_shows_every_contender_on_every_set_with_intervals(greedy, ids):
    evidence = greedy.report
    kinds = [row.kind for row in evidence.rows]
    assert kinds == ["ingredient"] * 4 + [
        "best single",
        "mean single",
        "uniform soup",
        "greedy soup",
        "logit ensemble",
    ]
    for row in evidence.rows:
        assert set(row.results) == {"held-out", "test", "elsewhere"}
        for result in row.results.values():
            assert 0 <= result.low <= result.value <= result.high <= 1
    assert Evidence.from_json(read_json(greedy.path / "soup.json")["evidence"]) == evidence
    assert any("On test: greedy soup − best single" in line for line in evidence.statements)
    mean = np.mean([row.results["test"].value for row in evidence.rows[:4]])
    assert evidence.row("mean single").results["test"].value == pytest.approx(mean)


def test_without_test_data_the_evidence_says_that_it_is_no_estimate(ids, tmp_path):
    merged = Soup(ids).greedy(held_out(), out=tmp_path / "soup")
    assert any("no estimate of performance on new data" in line for line in merged.report.statements)
    assert not merged.report.differences


def test_a_repeated_run_makes_no_forward_pass(greedy, ids, tmp_path, monkeypatch):
    from transformers import BertForSequenceClassification

    def refuse(self, *args, **kwargs):
        raise AssertionError("a forward pass was made")

    monkeypatch.setattr(BertForSequenceClassification, "forward", refuse)
    again = Soup(ids).greedy(
        held_out(), out=tmp_path / "soup", test=data()["test"], shifts={"elsewhere": data()["shift"]}
    )
    assert again.report == greedy.report
    assert (again.path / "model.safetensors").read_bytes() == (greedy.path / "model.safetensors").read_bytes()


def test_random_order_and_strictness_are_recorded(ids, tmp_path):
    merged = Soup(ids).greedy(held_out(), out=tmp_path / "soup", order="random", seed=3, strict=True)
    selection = merged.recipe.selection
    assert (selection["order"], selection["seed"], selection["rule"]) == ("random", 3, ">")
    assert list(replay(selection).chosen) == selection["chosen"]


def test_published_files_name_no_local_path_and_no_token(greedy, hub):
    for file in greedy.path.iterdir():
        if file.suffix in (".json", ".md"):
            text = file.read_text()
            assert hub.token not in text
            assert str(greedy.path.parent) not in text
            assert "/root" not in text


def test_local_folders_and_hub_ids_can_be_mixed(ids, tmp_path):
    local = open_checkpoint(ids[1])
    local.side_folder()
    merged = Soup([ids[0], str(local.fetch())]).merge(out=tmp_path / "mixed")
    assert [record.repo_id for record in merged.recipe.ingredients].count(None) == 1


@pytest.mark.parametrize("weights", [[1, 2], [float("nan"), 1, 1, 1], [0, 0, 0, 0]])
def test_wrong_mixing_weights_leave_nothing_behind(ids, tmp_path, weights):
    with pytest.raises(InputError):
        Soup(ids).merge(weights=weights, out=tmp_path / "soup")
    assert list(tmp_path.iterdir()) == []


def test_one_ingredient_is_too_few(ids, tmp_path):
    with pytest.raises(InputError, match="Only one ingredient: tester/sentences-0"):
        Soup(ids[:1]).merge(out=tmp_path / "soup")
    with pytest.raises(InputError, match="write Soup"):
        Soup("tester/sentences-0")


def test_unrelated_models_are_refused_unless_forced(ids, tmp_path):
    from tiny_models import tokenizer, untrained_classifier

    untrained_classifier(seed=99).save_pretrained(tmp_path / "stranger")
    tokenizer().save_pretrained(tmp_path / "stranger")
    soup = Soup([*ids[:2], tmp_path / "stranger"])
    with pytest.raises(InputError, match="do not come from one pre-trained model"):
        soup.merge(out=tmp_path / "soup")
    assert not (tmp_path / "soup").exists()
    merged = soup.merge(out=tmp_path / "soup", force=True)
    assert any("pre-trained" in warning for warning in merged.warnings)


def test_a_callable_can_judge(ids, tmp_path):
    def closeness(model) -> float:
        return -float(model.classifier.bias.detach().abs().sum())

    merged = Soup(ids).greedy(HeldOut(closeness, metric="score"), out=tmp_path / "soup")
    assert merged.report.row("logit ensemble") is None
    assert merged.report.row("greedy soup").results["held-out"].low is None


def test_planning_reads_no_weights(ids, hub, tmp_path):
    soup = Soup(ids, cache_dir=tmp_path / "empty-cache")
    plan = soup.plan(out=tmp_path / "soup")
    assert plan.problems == ()
    assert plan.bytes_to_download > 0
    assert "download" in str(plan)
    assert not list((tmp_path / "empty-cache").rglob("model.safetensors"))
