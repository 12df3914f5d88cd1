"""Who is in an ensemble: by Hub ID, folder or function, pinned, named, in families, each with its own input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from tiny_adapters import save_adapter
from voting_models import (
    by_hand,
    keyword,
    picture,
    rows,
    save_image_model,
    save_text_model,
    shared,
    softmax,
    texts,
)

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles import Combination, FunctionMember
from hf_soup.errors import InputError

TEXT, IMAGE = "text-classification", "image-classification"


def bert(seed: int = 0):
    return shared(save_text_model, "bert", seed)


def distilbert():
    return shared(save_text_model, "distilbert", 5)


def test_what_members_say_is_what_transformers_says_of_one_text_at_a_time():
    data = Ensemble({"bert": [bert(0), bert(1)], "mini": [distilbert()]}).member_probabilities(HeldOut(rows(), TEXT))
    assert data.classes == ("negative", "positive")
    assert [(family.name, family.members) for family in data.families] == [("bert", (0, 1)), ("mini", (2,))]
    assert data.labels.tolist() == [int(row["label"] == "positive") for row in rows()]
    for place, folder in enumerate((bert(0), bert(1), distilbert())):
        np.testing.assert_allclose(data.values[place], softmax(by_hand(folder, texts())), atol=1e-6)


def test_an_adapter_is_a_member_like_the_model_that_peft_makes_of_it(tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    settings = {"task_type": "SEQ_CLS", "r": 2, "target_modules": ["query", "value"]}
    adapter = save_adapter(tmp_path / "adapter", bert(0), "AutoModelForSequenceClassification", **settings)
    whole = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(bert(0)), adapter)
    whole.merge_and_unload().save_pretrained(tmp_path / "whole")
    AutoTokenizer.from_pretrained(bert(0)).save_pretrained(tmp_path / "whole")
    expected = softmax(by_hand(tmp_path / "whole", texts()))
    assert np.abs(expected - softmax(by_hand(bert(0), texts()))).max() > 0.01, "the adapter does something"

    ensemble = Ensemble({"lora": [adapter], "mini": [distilbert()]}).fit(HeldOut(rows(), TEXT))
    np.testing.assert_allclose(ensemble.fitted.data.values[0], expected, atol=1e-5)
    ensemble.combination = Combination(
        "equal",
        "flat",
        "mean",
        ensemble.combination.families,
        ensemble.classes,
        {"adapter": 1.0, ensemble.voters.members[1].name: 0.0},
    )
    np.testing.assert_allclose(ensemble.predict(texts()).probabilities, expected, atol=1e-5)


def test_the_values_are_mapped_from_a_file_and_nothing_is_run_twice(monkeypatch):
    from hf_soup.evaluation import evaluator

    held_out = HeldOut(rows(30, seed=9), TEXT)
    first = Ensemble([bert(0), distilbert()]).member_probabilities(held_out)
    assert isinstance(first.values, np.memmap)
    assert first.values.dtype == np.float32
    monkeypatch.setattr(evaluator, "run_rows", lambda *arguments: pytest.fail("a model ran again"))
    again = Ensemble([bert(0), distilbert()])
    np.testing.assert_array_equal(again.member_probabilities(held_out).values, first.values)
    assert all(cost.seconds_per_row > 0 for cost in again.costs.values())


def test_every_image_model_gets_its_own_size():
    from transformers import pipeline

    models = [shared(save_image_model, "vit", 0), shared(save_image_model, "resnet", 1)]
    images = [picture(seed) for seed in range(6)]
    labels = ["negative", "positive"] * 3
    held_out = HeldOut([{"image": i, "label": label} for i, label in zip(images, labels, strict=True)], IMAGE)
    data = Ensemble({"vit": models[:1], "resnet": models[1:]}, task=IMAGE).member_probabilities(held_out)
    for place, folder in enumerate(models):
        said = pipeline(IMAGE, str(folder))(images)
        expected = [[next(s["score"] for s in one if s["label"] == name) for name in data.classes] for one in said]
        np.testing.assert_allclose(data.values[place], expected, atol=1e-5)


def test_costs_are_those_of_the_models():
    ensemble = Ensemble({"bert": [bert(0)], "rule": [keyword]})
    ensemble.member_probabilities(HeldOut(rows(), TEXT))
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(bert(0))
    parameters = sum(each.numel() for each in model.parameters())
    assert ensemble.costs["model"].parameters == parameters
    assert ensemble.costs["model"].bytes == 4 * parameters
    assert (ensemble.costs["keyword"].parameters, ensemble.costs["keyword"].forward_passes) == (None, 1)


def test_a_function_sees_rows_without_labels_and_its_columns_are_put_in_order():
    seen = []

    def rule(examples):
        seen.extend(examples)
        return np.tile([2.0, -1.0], (len(examples), 1))

    member = FunctionMember(rule, "rule", logits=True, classes=("positive", "negative"))
    data = Ensemble({"bert": [bert(0)], "rule": [member]}).member_probabilities(HeldOut(rows(), TEXT))
    assert seen == [{"text": text} for text in texts()]
    np.testing.assert_allclose(data.values[1], np.tile(softmax([-1.0, 2.0]), (40, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda rows: 1 / 0, "rule: the function failed .ZeroDivisionError"),
        (
            lambda rows: np.ones((3, 2)) / 2,
            r"rule: answered with shape \[3, 2\]; it was asked for 40 rows and 2 classes",
        ),
        (lambda rows: np.full((40, 2), 0.9), "rule: probabilities do not sum to 1"),
        (lambda rows: np.full((40, 2), 3.0), r"If they are logits: FunctionMember\(…, logits=True\)"),
        (lambda rows: np.full((40, 3), 1 / 3), r"rule: answered with shape \[40, 3\]"),
        (lambda rows: np.full((40, 2), np.nan), "rule: gives NaN or infinity for 40 of 40 rows"),
    ],
)
def test_a_function_that_answers_nonsense_is_named(answer, problem):
    with pytest.raises(Exception, match=problem):
        Ensemble({"bert": [bert(0)], "rule": [FunctionMember(answer, "rule")]}).member_probabilities(
            HeldOut(rows(), TEXT)
        )


def test_families_are_inferred_by_architecture_and_size():
    larger = shared(lambda: save_text_model("bert", 7, hidden_size=32, name="larger"))
    one_logit = shared(lambda: save_text_model("bert", 8, labels=["positive"], name="one-logit"))
    ensemble = Ensemble([bert(0), distilbert(), bert(1), larger, keyword, one_logit])
    sizes = {family: len(members) for family, members in ensemble.voters.families.items()}
    assert sizes == {"bert": 3, "distilbert": 1, "bert-2": 1, "keyword": 1}


def test_namesakes_are_told_apart_and_names_can_be_given():
    names = Ensemble({"bert": [bert(0), bert(1)]}).voters.names
    assert names == {"bert": ("model", "model (2)")}
    names = Ensemble({"bert": {"first": bert(0), "second": bert(1)}}).voters.names
    assert names == {"bert": ("first", "second")}


@pytest.mark.parametrize(
    ("families", "problem"),
    [
        ({}, "An ensemble needs members"),
        ("me/a", "An ensemble needs members"),
        ({"bert": []}, "The family 'bert' has no members"),
        ({"bert": [3]}, "a int is no member"),
        ({"bert": ["./nowhere"], "mini": ["./neither"]}, "(?s)nowhere.*neither"),
    ],
)
def test_all_problems_of_the_members_are_told(families, problem):
    with pytest.raises(InputError, match=problem):
        _ = Ensemble(families).voters


def test_a_member_for_another_task_is_refused_before_anything_runs():
    vit = shared(save_image_model, "vit", 0)
    with pytest.raises(InputError, match="is a ViTForImageClassification; an ensemble for text-classification needs"):
        _ = Ensemble({"bert": [bert(0)], "vit": [vit]}).voters
    with pytest.raises(InputError, match="there is none for causal-lm"):
        Ensemble([bert(0)], task="causal-lm")
    with pytest.raises(InputError, match="task='text-classification'"):
        Ensemble([bert(0)]).member_probabilities(HeldOut([{"text": "a"}, {"text": "b"}], "causal-lm"))


@pytest.mark.hub
def test_a_member_on_the_hub_is_pinned_to_the_commit_that_its_revision_names(api: HfApi):
    name = "tester/e2-pinned"
    api.create_repo(name)
    first = api.upload_folder(repo_id=name, folder_path=bert(0)).oid
    api.create_tag(name, tag="v1")
    second = api.upload_folder(repo_id=name, folder_path=bert(1)).oid
    ensemble = Ensemble({"bert": [f"{name}@v1", name]})
    assert [member.ref.revision for member in ensemble.voters.members] == [first, second]
    assert ensemble.voters.names["bert"] == (f"{name}@{first[:7]}", f"{name}@{second[:7]}")
    data = ensemble.member_probabilities(HeldOut(rows(), TEXT))
    for place in (0, 1):
        np.testing.assert_allclose(data.values[place], softmax(by_hand(bert(place), texts())), atol=1e-6)


@pytest.mark.hub
def test_a_pattern_is_one_member_for_each_folder(api: HfApi):
    name = "tester/e2-runs"
    api.create_repo(name)
    for seed in (0, 1):
        api.upload_folder(repo_id=name, folder_path=bert(seed), path_in_repo=f"runs/{seed}")
    assert Ensemble({"bert": [f"{name}:runs/*"]}).voters.names == {"bert": (f"{name}:runs/0", f"{name}:runs/1")}


def test_groups_come_with_the_rows():
    data = [{**row, "video": f"v{number // 4}"} for number, row in enumerate(rows())]
    found = Ensemble([bert(0)]).member_probabilities(HeldOut(data, TEXT, group_by="video"))
    assert len(np.unique(found.groups)) == 10
    assert (found.groups.reshape(10, 4) == found.groups[::4, None]).all()


def test_a_model_in_half_precision_runs_in_it(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(bert(0)).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "half")
    AutoTokenizer.from_pretrained(bert(0)).save_pretrained(tmp_path / "half")
    data = Ensemble({"bert": [bert(0)], "half": [tmp_path / "half"]}).member_probabilities(HeldOut(rows(), TEXT))
    difference = np.abs(data.values[1] - data.values[0]).max()
    assert 1e-5 < difference < 0.05


def test_a_model_that_votes_twice_is_told():
    held_out = HeldOut(rows(), TEXT)
    once = Ensemble({"a": [bert(0)], "b": [bert(1)]}).member_probabilities(held_out)
    assert not any("votes more than once" in warning for warning in once.warnings)
    twice = Ensemble({"a": {"one": bert(0)}, "b": {"other": bert(0), "third": bert(1)}})
    (warning,) = twice.member_probabilities(held_out).warnings
    assert warning.startswith("The same model votes more than once: one (family a), other (family b).")
    assert warning in twice.fit(held_out, method="equal").report.warnings


def test_all_problems_of_a_fit_are_told_before_a_member_is_asked():
    def asked(examples):
        raise AssertionError("a member was asked")

    held_out = HeldOut(rows(), TEXT)
    ensemble = Ensemble({"a": [bert(0)], "b": [asked]})
    with pytest.raises(InputError) as told:
        ensemble.fit(
            held_out,
            method="nope",
            tiers="x",
            temperature="y",
            ridge=-1,
            folds=1,
            seed=-1,
            tests={
                "gone": "zz.csv",
                "strange": HeldOut([*rows(5), {"text": "a", "label": "mixed"}], TEXT, name="strange"),
                held_out.name: HeldOut(rows(5), TEXT),
                "other task": HeldOut([{"text": "a"}], "causal-lm"),
            },
            train="train.csv",
        )
    found = "\n".join(told.value.problems)
    for problem in (
        "There is no method 'nope'",
        "tiers='x'",
        "temperature='y'",
        "ridge=-1",
        "folds=1",
        "seed=-1",
        "zz.csv: there is no such file",
        "strange: row 6: mixed is not a class of the ensemble; its classes are negative, positive.",
        "'the given rows' is the name of the fitting rows",
        "other task: is for causal-lm",
        "train and out are for fine-tuning",
    ):
        assert problem in found
    assert len(told.value.problems) == 11
    with pytest.raises(InputError) as told:
        Ensemble([bert(0)], task="causal-lm", tier1="z", on_missing="x", memory="y")
    assert len(told.value.problems) == 4


def test_members_that_cannot_be_had_are_told_with_the_rest(tmp_path):
    with pytest.raises(InputError) as told:
        Ensemble({"a": [tmp_path / "gone"]}).fit(HeldOut(rows(), TEXT), method="nope")
    assert len(told.value.problems) == 2


def test_all_rows_of_one_group_are_refused_before_a_member_is_asked(monkeypatch):
    one_group = HeldOut([{**row, "video": "v"} for row in rows()], TEXT, group_by="video")
    with pytest.raises(InputError, match=r"all rows belong to one group \(v\)"):
        Ensemble({"a": [bert(0)]}).fit(one_group)
