"""Prediction: the same whichever way it is computed, without labels, and without the rows that cannot be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from tiny_models import write_csv
from voted import with_weights
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
from hf_soup.ensembles import MemberProbabilities
from hf_soup.ensembles.memory import kept_in_memory
from hf_soup.errors import InputError, SoupError

TEXT, IMAGE = "text-classification", "image-classification"
WEIGHTS = {"bert": 0.7, "mini": 0.3}


def bert(seed: int = 0):
    return shared(save_text_model, "bert", seed)


def families():
    return {"bert": {"a": bert(0), "b": bert(1)}, "mini": {"c": shared(save_text_model, "distilbert", 5)}}


def images(count: int = 5):
    return [picture(seed) for seed in range(count)]


def image_ensemble() -> Ensemble:
    models = {"vit": {"v": shared(save_image_model, "vit", 0)}, "resnet": {"r": shared(save_image_model, "resnet", 1)}}
    return with_weights(models, {"vit": 0.6, "resnet": 0.4}, task=IMAGE)


def png(image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_it_is_the_weighted_mean_of_the_means_of_the_families():
    said = [softmax(by_hand(folder, texts())) for family in families().values() for folder in family.values()]
    expected = 0.7 * (said[0] + said[1]) / 2 + 0.3 * said[2]
    found = with_weights(families(), WEIGHTS).predict(texts())
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert found.ids.tolist() == [str(number) for number in range(1, 41)]
    assert found.forward_passes == 120
    assert found.labels == [found.classes[index] for index in expected.argmax(axis=1)]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_does_not_matter(batch_size):
    ensemble = with_weights(families(), WEIGHTS)
    found = ensemble.predict(texts(), batch_size=batch_size).probabilities
    np.testing.assert_allclose(found, ensemble.predict(texts()).probabilities, atol=1e-6)


@pytest.mark.parametrize("memory", [0, 30_000, "1GiB"])
def test_it_does_not_matter_how_many_models_are_in_memory(memory):
    held_out = HeldOut(rows(), TEXT)
    ensemble = with_weights(families(), WEIGHTS, memory=memory)
    expected = ensemble.member_probabilities(held_out).values
    for _ in range(2):
        np.testing.assert_array_equal(ensemble.predict(texts()).members, expected)


def test_models_that_stay_are_loaded_once_and_the_others_take_turns(monkeypatch):
    from hf_soup.ensembles import voting

    loaded = []
    load = voting.LoadedModel

    def counting(checkpoint, *arguments, **options):
        loaded.append(checkpoint.label)
        return load(checkpoint, *arguments, **options)

    monkeypatch.setattr(voting, "LoadedModel", counting)
    for memory, loads in (("1GiB", 3), (0, 6)):
        loaded.clear()
        ensemble = with_weights(families(), WEIGHTS, memory=memory)
        ensemble.predict(texts())
        ensemble.predict(texts())
        assert len(loaded) == loads


def test_what_stays_in_memory_leaves_room_for_the_largest_of_the_others():
    assert kept_in_memory({"a": 4, "b": 4}, 8) == {"a", "b"}
    assert kept_in_memory({"a": 1, "b": 5, "c": 2}, 7) == {"a"}
    assert kept_in_memory({"a": 4, "b": 4}, 3) == frozenset()


def test_a_member_without_weight_is_not_asked():
    def never(examples):
        pytest.fail("was asked")

    ensemble = with_weights({"bert": {"a": bert(0)}, "rule": {"never": never}}, {"bert": 1.0, "rule": 0.0})
    found = ensemble.predict(texts())
    assert (found.member_names, found.forward_passes) == (("a",), 40)
    np.testing.assert_allclose(found.probabilities, softmax(by_hand(bert(0), texts())), atol=1e-6)


def test_rows_come_in_many_forms_and_need_no_label(tmp_path):
    ensemble = with_weights(families(), WEIGHTS)
    expected = ensemble.predict(texts()).probabilities
    unlabelled = [{"id": f"q{number}", "sentence": text} for number, text in enumerate(texts())]
    file = write_csv(tmp_path / "rows.csv", unlabelled)
    for given in (rows(), HeldOut(rows(), TEXT)):
        np.testing.assert_array_equal(ensemble.predict(given).probabilities, expected)
    for given in (file, unlabelled):
        found = ensemble.predict(given, columns={"text": "sentence"})
        np.testing.assert_array_equal(found.probabilities, expected)
        assert found.ids.tolist() == [f"q{number}" for number in range(40)]
    with pytest.raises(InputError, match=r"no column 'text'; its columns: id, sentence.*--column text="):
        ensemble.predict(file)


def test_rows_that_cannot_be_read_are_named_and_the_others_go_on():
    ensemble = with_weights(families(), WEIGHTS)
    given = [{"id": "x", "text": "a fine film"}, {"id": "y", "text": "  "}, {"id": "z", "text": "a poor day"}]
    found = ensemble.predict(given)
    assert found.ids.tolist() == ["x", "z"]
    assert [(each.row, each.id) for each in found.left_out] == [(2, "y")]
    assert any("row 2 (y)" in warning and "is empty" in warning for warning in found.warnings)
    with pytest.raises(InputError, match="none of its rows can be read"):
        ensemble.predict([{"text": ""}])


def test_an_image_that_is_cut_off_is_named_and_the_others_go_on(tmp_path):
    whole = png(picture(0, 64))
    for name, content in (("a.png", whole), ("b.png", whole[: len(whole) // 2]), ("c.png", b"text")):
        (tmp_path / name).write_bytes(content)
    ensemble = image_ensemble()
    found = ensemble.predict(tmp_path)
    assert found.ids.tolist() == ["a.png"]
    assert [each.id for each in found.left_out] == ["b.png", "c.png"]
    np.testing.assert_array_equal(found.probabilities, ensemble.predict([picture(0, 64)]).probabilities)


def test_images_come_as_files_bytes_or_pictures(tmp_path):
    ensemble = image_ensemble()
    expected = ensemble.predict(images()).probabilities
    for number, image in enumerate(images()):
        image.save(tmp_path / f"{number}.png")
    for given in (
        tmp_path,
        [tmp_path / f"{number}.png" for number in range(5)],
        [{"image": png(image)} for image in images()],
    ):
        np.testing.assert_array_equal(ensemble.predict(given).probabilities, expected)


def test_an_ensemble_without_weights_says_so():
    with pytest.raises(InputError, match="call fit"):
        Ensemble(families()).predict(texts())


def arrays(seed: int = 0):
    values = np.random.default_rng(seed).dirichlet([1, 1, 1], (3, 200))
    return {"big": [values[0], values[1]], "small": [values[2]]}, values


def test_given_predictions_need_no_model():
    given, values = arrays()
    labels = values[0].argmax(axis=1)
    ensemble = Ensemble.from_predictions(given, labels).fit()
    assert sum(ensemble.weights.values()) == pytest.approx(1)
    others, more = arrays(1)
    expected = ensemble.combination.combine(more)
    for form in (others, more, MemberProbabilities.of(others)):
        np.testing.assert_allclose(ensemble.predict(form).probabilities, expected, atol=1e-6)
    with pytest.raises(InputError, match=r"big \(1\).*big \(2\), small \(1\)"):
        ensemble.predict({"big": [values[0]]})
    with pytest.raises(InputError, match="predictions of 2 members; the ensemble has 3"):
        ensemble.predict(values[:2])


def test_given_predictions_with_gaps_need_leave():
    given, values = arrays()
    ensemble = Ensemble.from_predictions(given, values[0].argmax(axis=1)).fit(method="equal", temperature="none")
    gaps = values.copy()
    gaps[2, 3] = np.nan
    with pytest.raises(SoupError, match="small/1 says nothing about 1 of 200 rows"):
        ensemble.predict(gaps)
    found = ensemble.predict(gaps, on_missing="reweigh")
    np.testing.assert_allclose(found.probabilities[3], (values[0, 3] + values[1, 3]) / 2, atol=1e-6)
    assert "small/1 says nothing about 1 of 200 rows; there the others decide." in found.warnings


def test_it_is_fitted_on_held_out_rows_and_judged_on_others():
    ensemble = Ensemble({"bert": {"a": bert(0)}, "rule": {"keyword": keyword}})
    fitted = ensemble.fit(HeldOut(rows(200, seed=3), TEXT))
    assert fitted is ensemble
    assert ensemble.weights["rule"] > 0.9  # the model has random weights
    test = HeldOut(rows(100, seed=4), TEXT, name="test")
    scores = ensemble.evaluate(test)
    correct = np.array(ensemble.predict(test).labels) == [row["label"] for row in rows(100, seed=4)]
    assert scores.of("test")["accuracy"].value == pytest.approx(correct.mean())
    assert set(scores.to_json()["systems"]) == {"ensemble", "a", "keyword"}
    assert "accuracy" in str(scores)


def test_rows_may_be_a_file(tmp_path):
    held_out, test = write_csv(tmp_path / "held_out.csv", rows(60)), write_csv(tmp_path / "test.csv", rows(30, seed=1))
    one = Ensemble(families()).fit(str(held_out), tests={"test": test})
    other = Ensemble(families()).fit(HeldOut(held_out, TEXT), tests={"test": HeldOut(test, TEXT, name="test")})
    assert one.weights == other.weights
    assert one.report.to_json()["systems"] == other.report.to_json()["systems"]
    assert one.evaluate(test).of("test.csv") == other.evaluate(HeldOut(test, TEXT)).of("test.csv")


def test_an_ensemble_of_predictions_takes_no_rows(tmp_path):
    data = MemberProbabilities.of({"a": [np.full((4, 2), 0.5)]}, [0, 1, 0, 1], ["negative", "positive"])
    ensemble = Ensemble.from_predictions(data).fit(method="equal")
    held_out = HeldOut(rows(), TEXT)
    for call in (ensemble.fit, ensemble.evaluate, ensemble.predict):
        for given in (write_csv(tmp_path / "rows.csv", rows()), held_out):
            if call == ensemble.predict and given is held_out:
                continue
            with pytest.raises(InputError, match="is of ready-made predictions"):
                call(given)


def test_given_predictions_may_have_other_names_than_the_members(capsys):
    generator = np.random.default_rng(0)
    one, other = generator.dirichlet([1, 1], size=(2, 40))
    labels = generator.integers(0, 2, 40)
    fitted = MemberProbabilities.of({"a": [one], "b": [other]}, labels, members=["x", "y"])
    renamed = MemberProbabilities.of({"b": [other], "a": [one]}, labels, members=["later y", "later x"])
    ensemble = Ensemble.from_predictions(fitted).fit()
    np.testing.assert_array_equal(ensemble.predict(renamed).probabilities, ensemble.predict(fitted).probabilities)
    assert "later x as x" in capsys.readouterr().err
    expected, found = ensemble.evaluate(fitted), ensemble.evaluate(renamed)
    for system in ("ensemble", "x", "y"):
        assert found.of("rows", system) == expected.of("rows", system)
    few = MemberProbabilities.of({"a": [one]}, labels)
    for call in (ensemble.predict, ensemble.evaluate):
        with pytest.raises(InputError, match=r"are of a \(1\); the ensemble is of a \(1\), b \(1\): x, y"):
            call(few)


def test_problems_of_all_sets_are_told_before_a_model_is_run():
    def asked(examples):
        raise AssertionError("a member was asked")

    ensemble = with_weights({"rule": {"rule": asked}}, {"rule": 1.0})
    strange = HeldOut([*rows(5), {"text": "a", "label": "mixed"}], TEXT, name="strange")
    with pytest.raises(InputError) as told:
        ensemble.evaluate(HeldOut(rows(), TEXT), tests={"gone": "zz.csv", "strange": strange})
    assert len(told.value.problems) == 2


def test_an_image_that_is_cut_off_is_left_out_of_a_fit_for_all_members(tmp_path):
    given = []
    for seed in range(16):
        picture(seed, 64).save(tmp_path / f"{seed}.jpg")
        given.append({"image": f"{seed}.jpg", "label": ("negative", "positive")[seed % 2], "video": str(seed // 4)})
    (tmp_path / "5.jpg").write_bytes((tmp_path / "5.jpg").read_bytes()[:-900])
    data = write_csv(tmp_path / "rows.csv", given)
    whole = write_csv(tmp_path / "whole.csv", given[:5] + given[6:])
    models = {"vit": [shared(save_image_model, "vit", 0)], "resnet": [shared(save_image_model, "resnet", 1)]}
    fits = [
        Ensemble(models, task=IMAGE).fit(HeldOut(path, IMAGE, group_by="video"), tests={"same": path})
        for path in (data, whole)
    ]
    assert fits[0].weights == fits[1].weights
    assert [one.row for one in fits[0].fitted.held_out.left_out] == [6]
    assert fits[0].fitted.data.rows == 15
    warnings = fits[0].report.warnings
    assert any(
        each.startswith(
            "rows.csv: 1 of 16 rows cannot be read and is left out for all members: row 6 (5.jpg): 'image' "
        )
        for each in warnings
    )
    assert sum("cannot be read" in each for each in warnings) == 2  # of the test set, too
    assert not any("cannot be read" in each for each in fits[1].report.warnings)
    scores = fits[0].evaluate(HeldOut(data, IMAGE))
    assert any("row 6 (5.jpg)" in each for each in scores.warnings)
    assert scores.of("rows.csv") == fits[1].evaluate(HeldOut(whole, IMAGE)).of("whole.csv")


def test_rows_that_cannot_be_read_are_left_out_only_where_that_is_wanted(tmp_path):
    given = [{"image": f"{seed}.png", "label": ("negative", "positive")[seed % 2]} for seed in range(4)]
    for seed in range(3):
        picture(seed).save(tmp_path / f"{seed}.png")
    data = write_csv(tmp_path / "rows.csv", [*given, {"image": "0.png", "label": ""}])
    with pytest.raises(InputError) as told:
        HeldOut(data, IMAGE, unreadable="leave_out")
    assert told.value.problems == ("rows.csv: row 5: 'label' is empty.",)  # counted in the file as it is
    data = write_csv(tmp_path / "rows.csv", given)
    with pytest.raises(InputError, match="row 4: 'image' names a file that does not exist"):
        HeldOut(data, IMAGE)
    left = HeldOut(data, IMAGE, unreadable="leave_out")
    assert [(one.row, one.id) for one in left.left_out] == [(4, "3.png")]
    assert left.fingerprint == HeldOut(write_csv(tmp_path / "whole.csv", given[:3]), IMAGE).fingerprint
    for seed in (0, 2):
        (tmp_path / f"{seed}.png").unlink()
    with pytest.raises(InputError, match="3 rows cannot be read, and those that are left have the label 'positive'"):
        HeldOut(data, IMAGE, unreadable="leave_out")
