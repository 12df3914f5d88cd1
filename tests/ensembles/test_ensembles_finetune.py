"""Members and the weights of their mixture trained together: the loss, what training does, and what it leaves."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from finetuned import (
    ONE,
    QUICK,
    TURNED,
    TWO,
    Linear,
    families,
    held_out,
    held_out_rows,
    nll_by_hand,
    one_logit,
    one_step,
    places,
    points,
    said_by_hand,
    still,
    trained_on,
    training_rows,
    tuned,
    weights_of,
)
from safetensors.torch import load_file
from tiny_models import fine_tune
from voting_models import folder, picture, save_image_model, save_text_model, shared, texts

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles.finetune.member_mixture import MemberMixture
from hf_soup.ensembles.finetune.mixture_loss import log_probabilities, mixture_nll
from hf_soup.ensembles.finetune.training import Schedule, train
from hf_soup.errors import InputError
from hf_soup.evaluation.hardware import Hardware

IMAGE = "image-classification"


@pytest.mark.parametrize("tier1", ["mean", "logit_mean"])
def test_loss_and_gradients_are_those_of_the_formula_in_probabilities(tier1):
    generator = torch.Generator().manual_seed(0)
    maps, inputs = (TWO, TURNED, ONE), ((0, 1), (2,))
    leaves = [torch.randn(7, found.logits, generator=generator, dtype=torch.float64) for found in maps]
    leaves.append(torch.randn(2, generator=generator, dtype=torch.float64))
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0])

    def ours(a, b, c, w):
        said = [log_probabilities(logits, found) for logits, found in zip((a, b, c), maps, strict=True)]
        return mixture_nll(said, labels, w, inputs, tier1)

    def obvious(a, b, c, w):
        sigmoid = 1 / (1 + torch.exp(-c[:, 0]))
        p = [a.exp() / a.exp().sum(1, keepdim=True), (b.exp() / b.exp().sum(1, keepdim=True))[:, [1, 0]]]
        if tier1 == "mean":
            family = (p[0] + p[1]) / 2
        else:
            family = (p[0] * p[1]).sqrt() / (p[0] * p[1]).sqrt().sum(1, keepdim=True)
        alpha = w.exp() / w.exp().sum()
        y = alpha[0] * family + alpha[1] * torch.stack([1 - sigmoid, sigmoid], dim=1)
        return torch.stack([-y[row, label].log() for row, label in enumerate(labels.tolist())])

    results = []
    for loss in (ours, obvious):
        arguments = [leaf.clone().requires_grad_() for leaf in leaves]
        value = loss(*arguments)
        results.append([value, *torch.autograd.grad(value.sum(), arguments)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=1e-12)


def test_a_member_that_is_sure_and_wrong_costs_what_the_others_leave_and_no_infinity():
    sure, fair = torch.tensor([[1e4, -1e4]]), torch.zeros(1, 2)
    loss = mixture_nll(
        [log_probabilities(sure, TWO), log_probabilities(fair, TWO)], torch.tensor([1]), torch.zeros(2), ((0,), (1,))
    )
    assert loss.item() == pytest.approx(-np.log(0.25))


def test_every_member_and_the_weights_receive_gradients():
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    sources = [place for members in families().values() for place in members.values()]
    models = [AutoModelForSequenceClassification.from_pretrained(source) for source in sources]
    mixture = MemberMixture(models, [TWO, TURNED, ONE, TWO], ((0, 1), (2,), (3,)), [0, 0, 0, 1])
    words = [AutoTokenizer.from_pretrained(sources[0]), AutoTokenizer.from_pretrained(sources[3])]
    batch = [dict(each(texts(8), padding=True, return_tensors="pt")) for each in words]
    batch[1].pop("token_type_ids", None)
    mixture(batch, torch.tensor([0, 1] * 4)).sum().backward()
    assert (mixture.w.grad != 0).all()
    for model in models:
        assert model.classifier.weight.grad.abs().sum() > 0
        assert model.base_model.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_training_lowers_the_loss_of_the_mixture_as_computed_by_hand():
    ensemble, out = tuned()
    record = ensemble.finetuning
    equal = dict.fromkeys(families(), 1 / 3)
    before = nll_by_hand(families(), equal, training_rows())
    after = nll_by_hand(places(out), record.weights, training_rows())
    assert after < before - 0.01
    assert record.before == pytest.approx(nll_by_hand(families(), equal, held_out_rows()), abs=1e-5)
    kept = record.epochs[record.kept - 1]
    assert kept.held_out_nll == pytest.approx(nll_by_hand(places(out), record.weights, held_out_rows()), abs=1e-5)
    assert kept.held_out_nll == min(epoch.held_out_nll for epoch in record.epochs)


def test_trained_folders_are_ordinary_models_and_what_the_ensemble_asks():
    ensemble, out = tuned()
    rows = held_out_rows()
    assert {path.name for path in out.iterdir()} == {"a", "b", "c", "d"}
    assert ensemble.combination.families == {"bert": ("a", "b"), "one": ("c",), "distil": ("d",)}
    expected = np.stack([said_by_hand(out / name, rows) for name in "abcd"])
    np.testing.assert_allclose(ensemble.member_probabilities(held_out()).values, expected, atol=1e-5)
    equal = Ensemble(places(out)).fit(held_out(), method="equal", temperature="none")
    mixture = (expected[:2].mean(axis=0) + expected[2] + expected[3]) / 3
    np.testing.assert_allclose(equal.predict([row["text"] for row in rows]).probabilities, mixture, atol=1e-5)
    for name, before in zip("abcd", itertools.chain(*(each.values() for each in families().values())), strict=True):
        assert (out / name / "tokenizer.json").read_bytes() == (before / "tokenizer.json").read_bytes()
        old, new = load_file(before / "model.safetensors"), load_file(out / name / "model.safetensors")
        assert {key: tensor.dtype for key, tensor in old.items()} == {key: tensor.dtype for key, tensor in new.items()}
        assert any(not torch.equal(old[key], new[key]) for key in old)


def test_weights_are_fitted_on_held_out_rows_after_training():
    ensemble, out = tuned()
    again = Ensemble(places(out)).fit(held_out())
    assert again.weights == pytest.approx(ensemble.weights, abs=1e-6)
    assert sum(ensemble.finetuning.weights.values()) == pytest.approx(1)


def test_a_family_that_cannot_see_the_words_loses_weight(tmp_path):
    from transformers import BertTokenizerFast

    seeing, blind = (fine_tune(folder(name), 0, steps=40) for name in ("seeing", "blind"))
    strange = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "qqq"])}
    BertTokenizerFast(vocab=strange).save_pretrained(blind)
    ensemble = Ensemble({"seeing": {"seeing": seeing}, "blind": {"blind": blind}})
    ensemble.fit(
        held_out(), finetune=True, train=trained_on(), out=tmp_path / "m", epochs=4, learning_rate=1e-3, batch_size=8
    )
    weights = [epoch.weights["blind"] for epoch in ensemble.finetuning.epochs]
    assert 0.5 > weights[0] > weights[1] > weights[2] > weights[3]
    assert weights[3] < 0.25


def test_the_seed_decides_every_byte(tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        torch.manual_seed(len(name))  # whatever was drawn before
        Ensemble({"a": {"a": shared(save_text_model, "bert", 0)}, "c": {"c": one_logit()}}).fit(
            held_out(), finetune=True, train=trained_on(), out=tmp_path / name, seed=seed, **QUICK
        )
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "again")
    assert weights_of(tmp_path / "one")["a"] != weights_of(tmp_path / "other")["a"]


def test_parts_of_a_step_change_nothing_but_rounding(tmp_path, monkeypatch):
    members = {"a": {"a": shared(still, 0)}, "b": {"b": shared(still, 1)}}
    for parts in ("1", "3"):
        monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", parts)
        Ensemble(members).fit(held_out(), finetune=True, train=trained_on(), out=tmp_path / parts, **QUICK)
    for name in "ab":
        one, three = (load_file(tmp_path / parts / name / "model.safetensors") for parts in ("1", "3"))
        for key in one:
            if not key.endswith("key.bias"):  # its gradient is zero, and Adam makes steps of the rounding that is left
                torch.testing.assert_close(one[key], three[key], atol=2e-4, rtol=0)


@pytest.mark.parametrize(("batch", "parts"), [([0, 3, 5, 2, 7, 1, 4], 1), ([0, 3, 5, 2, 7, 1, 4], 3), ([6], 3)])
def test_a_step_follows_the_gradient_of_the_mean_loss_of_its_rows(batch, parts):
    after, expected = one_step(batch, parts)
    for mine, theirs in zip(after, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_the_epoch_with_the_lowest_held_out_loss_is_kept():
    model = Linear(2)
    mixture = MemberMixture([model], [TWO], ((0,),), [0])
    states, losses = [], iter([3.0, 1.0, 2.0])

    def judge() -> float:
        states.append(model.layer.weight.detach().clone())
        return next(losses)

    epochs, kept = train(mixture, points(8), Schedule(3, 1e-2, 4, 0), Hardware("cpu"), judge)
    assert kept == 2
    assert [epoch.held_out_nll for epoch in epochs] == [3.0, 1.0, 2.0]
    assert torch.equal(model.layer.weight, states[1])
    assert not torch.equal(states[1], states[2])


def test_names_of_classes_and_dtypes_go_into_the_trained_folder(tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    plain = save_text_model("bert", 6, labels=("LABEL_0", "LABEL_1"))
    half = folder("half")
    AutoModelForSequenceClassification.from_pretrained(plain, dtype=torch.bfloat16).save_pretrained(half)
    AutoTokenizer.from_pretrained(plain).save_pretrained(half)
    ensemble = Ensemble({"half": [half]}, labels={"LABEL_0": "positive", "LABEL_1": "negative"})
    ensemble.fit(held_out(), finetune=True, train=trained_on(), out=tmp_path / "m", **QUICK)
    config = json.loads((tmp_path / "m" / "half" / "config.json").read_text())
    assert config["id2label"] == {"0": "positive", "1": "negative"}
    stored = load_file(tmp_path / "m" / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert len(ensemble.predict(texts())) == 40


def test_images_of_two_architectures(tmp_path):
    from transformers import pipeline

    def rows(seeds):
        # The one class is bright, the other dark.
        pictures = [picture(seed).point(lambda value, seed=seed: value // 2 + 127 * (seed % 2)) for seed in seeds]
        return [
            {"image": image, "label": ("negative", "positive")[seed % 2]}
            for seed, image in zip(seeds, pictures, strict=True)
        ]

    models = {"vit": {"v": shared(save_image_model, "vit", 0)}, "resnet": {"r": shared(save_image_model, "resnet", 1)}}
    judged = rows(range(100, 124))
    ensemble = Ensemble(models, task=IMAGE)
    ensemble.fit(
        HeldOut(judged, IMAGE), finetune=True, train=HeldOut(rows(range(48)), IMAGE), out=tmp_path / "m", epochs=4,
        learning_rate=5e-3, batch_size=8,
    )  # fmt: skip
    assert ensemble.finetuning.epochs[-1].train_nll < ensemble.finetuning.epochs[0].train_nll
    assert not ensemble.finetuning.harmed
    images = [row["image"] for row in judged]
    found = ensemble.member_probabilities(HeldOut(judged, IMAGE)).values
    for member, name in enumerate(("v", "r")):
        said = pipeline(IMAGE, str(tmp_path / "m" / name))(images)
        expected = [{each["label"]: each["score"] for each in answer}["positive"] for answer in said]
        np.testing.assert_allclose(found[member][:, 1], expected, atol=1e-4)
    with pytest.raises(InputError, match="row 9: also among the held-out rows"):
        Ensemble(models, task=IMAGE).fit(
            HeldOut(judged, IMAGE),
            finetune=True,
            train=HeldOut([*rows(range(8)), judged[3]], IMAGE),
            out=tmp_path / "n",
        )
