"""An ensemble of one model answers as transformers' pipeline with that model does, however it is called."""

from __future__ import annotations

import pytest
from voted import with_weights
from voting_models import picture, save_image_model, save_text_model, shared

from hf_soup.errors import InputError

TEXT, IMAGE = "text-classification", "image-classification"


def both(task: str, model):
    from transformers import pipeline

    ours = with_weights({"only": {"only": model}}, {"only": 1.0}, task=task).pipeline()
    return ours, pipeline(task, str(model))


def same(ours, theirs) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    else:
        assert ours == {"label": theirs["label"], "score": pytest.approx(theirs["score"], abs=1e-6)}


@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": None}])
@pytest.mark.parametrize(
    "inputs",
    [
        "a fine film",
        ["a fine film"],
        ["a fine film", "the day was dull and cruel", "is"],
        {"text": "a fine film", "text_pair": "the meal"},
    ],
    ids=["text", "one in a list", "list", "pair"],
)
def test_texts(inputs, options):
    ours, theirs = both(TEXT, shared(save_text_model, "bert", 0))
    same(ours(inputs, **options), theirs(inputs, **options))


@pytest.mark.parametrize("options", [{}, {"top_k": 1}])
def test_images(options, tmp_path):
    ours, theirs = both(IMAGE, shared(save_image_model, "vit", 0))
    picture(3).save(tmp_path / "picture.png")
    for inputs in (picture(1), [picture(1), picture(2)], str(tmp_path / "picture.png")):
        same(ours(inputs, **options), theirs(inputs, **options))


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"batch_size": 2}])
def test_a_generator_is_answered_one_by_one(options):
    words = ["a fine film", "the day was dull and cruel", "is"]
    ours, theirs = both(TEXT, shared(save_text_model, "bert", 0))
    same(list(ours(iter(words), **options)), list(theirs((word for word in words), **options)))
    ours, theirs = both(IMAGE, shared(save_image_model, "vit", 0))
    same(list(ours(map(picture, (1, 2, 3)), **options)), list(theirs((picture(i) for i in (1, 2, 3)), **options)))


def test_a_generator_is_read_as_its_answers_are_asked_for():
    ours, _ = both(TEXT, shared(save_text_model, "bert", 0))
    read = []
    answers = ours((read.append(number) or "a fine film" for number in range(9)), batch_size=3)
    assert read == []
    next(answers)
    assert read == [0, 1, 2]


def test_an_input_that_cannot_be_read_is_an_error_since_every_input_has_an_answer():
    ours, _ = both(IMAGE, shared(save_image_model, "vit", 0))
    with pytest.raises(InputError, match="row 2"):
        ours([picture(1), b"no image"])
    with pytest.raises(InputError, match="is a URL"):
        ours("https://example.org/a.png")


def test_nothing_in_nothing_out():
    ours, _ = both(TEXT, shared(save_text_model, "bert", 0))
    assert ours([]) == []


def test_the_models_stay_loaded_from_call_to_call(monkeypatch):
    from hf_soup.ensembles import voting

    ours, _ = both(TEXT, shared(save_text_model, "bert", 0))
    first = ours("a fine film")
    monkeypatch.setattr(voting, "LoadedModel", lambda *given, **options: pytest.fail("loaded again"))
    assert ours("a fine film") == first
