"""`hf-soup ensemble` and `hf-soup verify` as commands: what they print, write, and refuse."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from published_ensembles import files, on_hub
from tiny_models import write_csv
from voting_models import picture, save_image_model, save_text_model, shared

from hf_soup.cli import main

TASK = ("--task", "text-classification")


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Runs a command in this process; returns exit code, standard output, standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.hub
def test_five_commands_are_the_whole_job(capsys, hub, repo, tmp_path):
    families = [f"--family={name}={','.join(ids)}" for name, ids in on_hub().items()]
    data, test, out = files()["held_out"], files()["test"], tmp_path / "votes"
    code, said, err = run(capsys, "ensemble", "fit", *families, "--data", data, *TASK, "-o", out)
    assert code == 0, err
    assert "learned weights" in said
    assert f"Written: {out}" in said
    code, said, err = run(capsys, "ensemble", "evaluate", out, "--data", test)
    assert code == 0, err
    assert "test.csv" in said
    code, said, err = run(capsys, "ensemble", "push", out, repo)
    assert code == 0, err
    assert repo in said
    target = tmp_path / "out.csv"
    code, said, err = run(capsys, "ensemble", "predict", repo, test, "-o", target)
    assert code == 0, err
    assert "80 rows predicted with" in said
    rows = read_csv(target)
    assert set(rows[0]) == {"id", "predicted", "negative", "positive"}
    assert sum(float(rows[0][name]) for name in ("negative", "positive")) == pytest.approx(1)
    code, said, err = run(capsys, "verify", repo, "--data", data)
    assert code == 0, err
    assert "figures were computed again and agree" in said


@pytest.mark.hub
def test_when_a_members_repository_is_gone_the_others_are_used_and_judged_with_exit_code_3(
    capsys, api, repo, tmp_path
):
    """Of two models with equal weights what is left is the other one, as it is."""
    stays = on_hub()["distil"][0]
    api.upload_folder(repo_id=repo, folder_path=shared(save_text_model, "bert", 1))
    data, test, out = files()["held_out"], files()["test"], tmp_path / "votes"
    given = (f"--family=gone={repo}", f"--family=stays={stays}", "--method", "equal", "--temperature", "none")
    code, _, err = run(capsys, "ensemble", "fit", *given, "--data", data, *TASK, "-o", out)
    assert code == 0, err
    api.delete_repo(repo)
    code, _, err = run(capsys, "ensemble", "evaluate", out, "--data", test)
    assert code == 2
    assert repo in err
    code, said, err = run(capsys, "ensemble", "evaluate", out, "--data", test, "--on-missing", "reweigh", "--json")
    assert code == 3, err
    document = json.loads(said)
    assert document["missing"] == [repo]
    assert document["systems"]["ensemble"] == document["systems"][stays]
    assert f"test.csv: the ensemble is scored without {repo}" in err
    code, said, err = run(capsys, "ensemble", "predict", out, test, "--on-missing", "reweigh")
    assert code == 3, err
    assert len(said.splitlines()) == 81
    reweigh = ("--on-missing", "reweigh", "-o", tmp_path / "without", "--json")
    code, said, err = run(capsys, "ensemble", "fit", *given, "--data", data, *TASK, *reweigh)
    assert code == 3, err
    assert json.loads(said)["missing"] == [repo]


def member_files(folder: Path) -> tuple[list[Path], Path, Path]:
    """Two members' predictions for 90 rows, labels of 60 and of the other 30."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 90)
    paths = []
    for member, skill in enumerate((1.5, 0.5)):
        chance = 1 / (1 + np.exp(-(generator.normal(size=90) + skill * (2 * labels - 1))))
        rows = [{"id": str(row), "no": 1 - p, "yes": p} for row, p in enumerate(chance.tolist())]
        paths.append(write_csv(folder / f"member-{member}.csv", rows))
    table = [
        {"id": str(row), "label": ("no", "yes")[label], "video": str(row // 3)} for row, label in enumerate(labels)
    ]
    return paths, write_csv(folder / "fit.csv", table[:60]), write_csv(folder / "test.csv", table[60:])


def test_ready_made_predictions_need_no_model(capsys, tmp_path):
    (one, other), fit, test = member_files(tmp_path)
    given = ("--predictions", f"good={one}", "--predictions", f"weak={other}")
    code, out, err = run(
        capsys, "ensemble", "fit", *given, "--data", fit, "--test", f"later={test}", "--group-by", "video",
        "-o", tmp_path / "votes", "--json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    assert document["weights"]["good"] > document["weights"]["weak"]
    assert [one["name"] for one in document["report"]["sets"]] == ["fit.csv", "later"]
    assert "on later (30 rows in 10 groups)" in document["report"]["sentence"]
    record = json.loads((tmp_path / "votes" / "hf_soup_ensemble.json").read_text())
    assert [each["name"] for each in record["data"]] == ["fit.csv", "later"]
    assert "split: fit.csv" in (tmp_path / "votes" / "README.md").read_text()
    code, _, err = run(
        capsys, "ensemble", "fit", *given, "--data", fit, f"--test=fit.csv={test}", "-o", tmp_path / "x"
    )
    assert code == 2
    assert "'fit.csv' is the name of the fitting rows" in err
    code, out, err = run(
        capsys, "ensemble", "evaluate", tmp_path / "votes", *given, "--data", fit, "--test", f"later={test}"
    )
    assert code == 0, err
    code, out, err = run(capsys, "verify", tmp_path / "votes", *given, "--data", fit, "--data", test)
    assert code == 0, out + err
    assert "figures were computed again and agree" in out
    code, out, err = run(capsys, "ensemble", "predict", tmp_path / "votes", *given)
    assert code == 0, err
    assert len(out.splitlines()) == 91


def test_images_in_a_folder_are_predicted_and_what_cannot_be_decoded_is_named(capsys, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rows = []
    for seed in range(8):
        picture(seed).save(pictures / f"{seed}.png")
        rows.append({"image": f"pictures/{seed}.png", "label": ("negative", "positive")[seed % 2]})
    models = [shared(save_image_model, "vit", 1), shared(save_image_model, "resnet", 2)]
    code, _, err = run(
        capsys, "ensemble", "fit", *models, "--data", write_csv(tmp_path / "rows.csv", rows),
        "--task", "image-classification", "--method", "equal", "-o", tmp_path / "votes", "--bundle",
    )  # fmt: skip
    assert code == 0, err
    (pictures / "broken.png").write_bytes(b"not an image")
    code, out, err = run(capsys, "ensemble", "predict", tmp_path / "votes", pictures, "--early-exit", "--json")
    assert code == 3, err
    document = json.loads(out)
    assert document["rows"] == 8
    assert [one["id"] for one in document["left_out"]] == ["broken.png"]
    assert "broken.png" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", "--data", "x.csv"), "Say who votes in one way"),
        (("fit", "me/a", "--family", "b=me/b", "--data", "x.csv"), "members and --family is given"),
        (("fit", "--family", "a=me/a"), "Say which labelled rows to fit on"),
        (("fit", "--family", "a=", "--data", "FIT", *TASK), "the family has no members"),
        (("fit", "--family", "a=me/a,me/b", "--family", "a=me/c", "--data", "FIT", *TASK), "is given twice"),
        (("fit", "--family", "me/a", "--data", "FIT", *TASK), "write it as name=value"),
        (("fit", "--predictions", "a=x.csv", "--data", "FIT", "--bundle"), "are for models"),
        (("fit", "--predictions", "a=gone.csv", "--data", "FIT"), "there is no such file"),
        (("fit", "me/a", "--data", "FIT"), "its tasks: image-classification, text-classification."),
        (("fit", "me/a", "--data", "FIT", "--task", "causal-lm"), "there is none for causal-lm"),
    ],
)
def test_misuse_ends_with_exit_code_2_and_says_why(capsys, tmp_path, arguments, message):
    _, fit, _ = member_files(tmp_path)
    words = [str(fit) if word == "FIT" else word for word in arguments]
    code, out, err = run(capsys, "ensemble", *words, "-o", tmp_path / "votes")
    assert code == 2
    assert out == ""
    assert message in err
    assert not (tmp_path / "votes").exists()


def test_a_member_for_another_task_and_an_output_of_another_format_are_refused(capsys, tmp_path):
    models = [shared(save_text_model, "bert", 1), shared(save_image_model, "vit", 1)]
    code, _, err = run(
        capsys, "ensemble", "fit", *models, "--data", files()["held_out"], *TASK, "-o", tmp_path / "votes"
    )
    assert code == 2
    assert "ViTForImageClassification" in err
    code, _, err = run(capsys, "ensemble", "predict", tmp_path / "votes", files()["test"], "-o", tmp_path / "out.xlsx")
    assert code == 2
    assert "is of no known format" in err


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> tuple[Path, Path]:
    """(an ensemble of two files' predictions, the folder of these and of their labels)"""
    folder = tmp_path_factory.mktemp("ready")
    (one, other), fit, test = member_files(folder)
    data = write_csv(folder / "labels.csv", read_csv(fit) + read_csv(test))
    words = [
        "fit",
        f"--predictions=both={one},{other}",
        f"--data={data}",
        "--method=equal",
        f"--out={folder / 'votes'}",
    ]
    with pytest.raises(SystemExit) as end:
        main(["ensemble", *words])
    assert not end.value.code
    return folder / "votes", folder


def test_of_stacking_the_document_has_coefficients_and_no_weights(capsys, ready, tmp_path):
    _, folder = ready
    given = f"both={folder / 'member-0.csv'},{folder / 'member-1.csv'}"
    code, out, err = run(
        capsys, "ensemble", "fit", "--predictions", given, "--data", folder / "labels.csv", "--method", "stacking",
        "-o", tmp_path / "votes", "--json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    assert document["weights"] is None
    assert document["combination"]["stacking"]


def test_files_with_other_names_are_taken_in_the_order_of_the_members(capsys, ready, tmp_path):
    votes, folder = ready
    for number in (0, 1):
        (tmp_path / f"later-{number}.csv").write_text((folder / f"member-{number}.csv").read_text())
    own = ("--predictions", f"both={folder / 'member-0.csv'},{folder / 'member-1.csv'}")
    later = ("--predictions", f"both={tmp_path / 'later-0.csv'},{tmp_path / 'later-1.csv'}")
    for rest in (("evaluate", "--data", folder / "labels.csv", "--json"), ("predict",)):
        code, expected, err = run(capsys, "ensemble", rest[0], votes, *own, *rest[1:])
        assert code == 0, err
        code, out, err = run(capsys, "ensemble", rest[0], votes, *later, *rest[1:])
        assert code == 0, err
        assert out == expected
        assert "later-0 as member-0, later-1 as member-1" in err
    code, out, err = run(capsys, "verify", votes, *later, "--data", folder / "labels.csv")
    assert code == 0, err
    # A member's own name says more than its place.
    mixed = ("--predictions", f"both={folder / 'member-1.csv'},{tmp_path / 'later-0.csv'}")
    code, out, err = run(capsys, "ensemble", "predict", votes, *mixed)
    assert code == 0, err
    assert out == expected
    assert "taken: later-0 as member-0." in err


@pytest.mark.parametrize("command", ["predict", "evaluate", "verify"])
def test_files_of_another_number_are_refused_in_one_sentence(capsys, ready, command):
    votes, folder = ready
    words = ("ensemble", command) if command != "verify" else (command,)
    data = () if command == "predict" else ("--data", folder / "labels.csv")
    for given, problem in (
        (f"both={folder / 'member-0.csv'}", "The predictions are of both (1); the ensemble is of both (2)"),
        (f"other={folder / 'a.csv'},{folder / 'b.csv'}", "The predictions are of other (2)"),
    ):
        code, out, err = run(capsys, *words, votes, "--predictions", given, *data)
        assert code == 2, err
        assert out == ""
        assert problem in err


def test_a_member_without_predictions_is_done_without_when_files_are_called_like_the_others(capsys, tmp_path):
    """Of a mean of three the mean of the first and the third is left; the exit code says that a part is missing."""
    (one, other), fit, _ = member_files(tmp_path)
    third = tmp_path / "member-2.csv"
    third.write_text(one.read_text())
    given = (f"--predictions=two={one},{other}", f"--predictions=one={third}")
    data = write_csv(tmp_path / "labels.csv", read_csv(fit) + read_csv(tmp_path / "test.csv"))
    words = ("--data", data, "--method", "equal", "--temperature", "none", "-o", tmp_path / "votes")
    code, _, err = run(capsys, "ensemble", "fit", *given, *words)
    assert code == 0, err
    few = (f"--predictions=two={other}", f"--predictions=one={third}")
    code, _, err = run(capsys, "ensemble", "predict", tmp_path / "votes", *few)
    assert code == 2
    assert "Of member-0 there are none: on_missing='reweigh' (--on-missing reweigh) does without." in err

    code, out, err = run(capsys, "ensemble", "predict", tmp_path / "votes", *few, "--on-missing", "reweigh", "--json")
    assert code == 3, err
    document = json.loads(out)
    assert document["missing"] == ["member-0"]
    assert "The member member-0 is left out" in err
    expected = [(float(a["yes"]) + float(b["yes"])) / 2 for a, b in zip(read_csv(other), read_csv(third), strict=True)]
    assert [row[1] for row in document["probabilities"]] == pytest.approx(expected, abs=1e-6)

    reweighed = ("--data", data, "--on-missing", "reweigh", "--json")
    code, out, err = run(capsys, "ensemble", "evaluate", tmp_path / "votes", *few, *reweighed)
    assert code == 3, err
    right = np.mean([(p > 0.5) == (row["label"] == "yes") for p, row in zip(expected, read_csv(data), strict=True)])
    document = json.loads(out)
    assert document["missing"] == ["member-0"]
    assert document["systems"]["ensemble"]["labels.csv"]["accuracy"]["value"] == pytest.approx(right)
    assert "the ensemble is scored without member-0" in err

    (tmp_path / "later.csv").write_text(other.read_text())
    unnamed = (f"--predictions=two={tmp_path / 'later.csv'}", f"--predictions=one={third}")
    code, _, err = run(capsys, "ensemble", "predict", tmp_path / "votes", *unnamed, "--on-missing", "reweigh")
    assert code == 2
    assert "each file must be called like the member that it is of" in err


def test_rows_cannot_be_given_to_an_ensemble_of_predictions(capsys, ready):
    votes, folder = ready
    for words in (("predict", votes, folder / "labels.csv"), ("evaluate", votes, "--data", folder / "labels.csv")):
        code, _, err = run(capsys, "ensemble", *words)
        assert code == 2
        assert "is of ready-made predictions" in err or "is an ensemble of ready-made predictions" in err
        assert "--predictions NAME=FILE" in err


def test_all_problems_of_a_plan_are_told_at_once_and_before_a_model_is_run(capsys, tmp_path, monkeypatch):
    from hf_soup.evaluation.evaluator import Evaluator

    monkeypatch.setattr(Evaluator, "predictions", lambda *given: pytest.fail("a model was run"))
    data = write_csv(
        tmp_path / "rows.csv", [{"text": "fine", "label": label} for label in ("negative", "positive") * 3]
    )
    strange = write_csv(tmp_path / "strange.csv", [{"text": "a", "label": each} for each in ("positive", "mixed")])
    model = shared(save_text_model, "bert", 1)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    code, out, err = run(
        capsys, "ensemble", "fit", model, "--data", data, *TASK, "--method", "nope", "--temperature", "y", "--ridge", "-1",
        "--folds", "1", "--seed", "-1", "--test", "later=zz.csv", "--test", f"strange={strange}", "--license", "foo",
        "-o", tmp_path / "taken",
    )  # fmt: skip
    assert code == 2
    assert out == ""
    for problem in (
        "There is no method 'nope'",
        "temperature='y'",
        "ridge=-1.0",
        "folds=1",
        "seed=-1",
        "zz.csv: there is no such file",
        "strange: row 2: mixed is not a class of the ensemble; its classes are negative, positive",
        "The licence 'foo'",
        "taken' exists",
    ):
        assert problem in err, err
    assert len(err.strip().splitlines()) == 9


def test_an_unknown_tier_a_missing_task_and_a_missing_file_do_not_hide_each_other(capsys, tmp_path):
    code, _, err = run(
        capsys, "ensemble", "fit", "me/a", "--data", tmp_path / "nope.csv", "--tier1", "z", "--method", "nope",
        "--on-missing", "x", "--memory", "y", "-o", tmp_path / "votes",
    )  # fmt: skip
    assert code == 2
    for problem in (
        "needs a task",
        "nope.csv: there is no such file",
        "tier1='z'",
        "no method 'nope'",
        "on_missing='x'",
        "'y'",
    ):
        assert problem in err, err
    assert err.count("tier1=") == 1


def test_labels_of_one_class_are_told_with_their_file(capsys, ready, tmp_path):
    _, folder = ready
    same = write_csv(tmp_path / "same.csv", [{"id": str(row), "label": "yes"} for row in range(90)])
    given = ("--predictions", f"a={folder / 'member-0.csv'}")
    code, _, err = run(capsys, "ensemble", "fit", *given, "--data", same, "-o", tmp_path / "votes")
    assert code == 2
    assert "same.csv: All 90 labels are of one class (yes)" in err


def test_warnings_stand_on_standard_error_once(capsys, ready):
    votes, folder = ready
    given = ("--predictions", f"both={folder / 'member-0.csv'},{folder / 'member-1.csv'}")
    data = ("--data", folder / "labels.csv")
    for words in (("evaluate", votes), ("fit", "-o", folder / "again", "--method", "equal")):
        code, out, err = run(capsys, "ensemble", *words, *given, *data)
        assert code == 0, err
        assert "Warning" not in out
        assert err.count("intervals are wide") == 1


def test_messages_name_options_that_there_are(capsys, ready, tmp_path):
    _, folder = ready
    write_csv(tmp_path / "odd.csv", [{"id": str(row), "no": 3, "yes": -1} for row in range(90)])
    np.save(tmp_path / "holes.npy", np.full((90, 2), np.nan))
    for name, said in (("odd.csv", "If they are logits: --logits"), ("holes.npy", "NaN or infinity in rows 1,")):
        given = ("--predictions", f"a={tmp_path / name}", "--classes", "no,yes")
        code, _, err = run(
            capsys, "ensemble", "fit", *given, "--data", folder / "labels.csv", "-o", tmp_path / "votes"
        )
        assert code == 2
        assert said in err, err
        assert "missing=True" not in err
    code, out, _ = run(capsys, "ensemble", "fit", "--help")
    assert "causal-lm" not in out


def image_rows(folder: Path, count: int = 24) -> Path:
    """Rows of images, of which the fourth is cut off, so that only decoding tells, and the eighth is none."""
    (folder / "pictures").mkdir()
    rows = []
    for seed in range(count):
        path = folder / "pictures" / f"{seed}.jpg"
        picture(seed, 64).save(path)
        rows.append({"image": f"pictures/{seed}.jpg", "label": ("negative", "positive")[seed % 2]})
    cut = folder / "pictures" / "3.jpg"
    cut.write_bytes(cut.read_bytes()[:-900])
    (folder / "pictures" / "7.jpg").write_bytes(b"not an image")
    return write_csv(folder / "rows.csv", rows)


def test_images_that_cannot_be_decoded_are_left_out_for_all_members_and_named(capsys, tmp_path):
    data = image_rows(tmp_path)
    models = [shared(save_image_model, "vit", 1), shared(save_image_model, "resnet", 2)]
    code, out, err = run(
        capsys, "ensemble", "fit", *models, "--data", data, "--task", "image-classification", "--method", "equal",
        "-o", tmp_path / "votes", "--json",
    )  # fmt: skip
    assert code == 3, err
    document = json.loads(out)
    assert [(one["data"], one["row"], one["id"]) for one in document["left_out"]] == [
        ("rows.csv", 4, "pictures/3.jpg"),
        ("rows.csv", 8, "pictures/7.jpg"),
    ]
    assert document["report"]["sets"][0]["rows"] == 22
    assert "rows.csv: 2 of 24 rows cannot be read" in err
    assert "row 4 (pictures/3.jpg)" in err
    kept = [row for place, row in enumerate(read_csv(data)) if place not in (3, 7)]
    whole = write_csv(tmp_path / "whole.csv", kept)
    figures = {}
    for path, expected in ((data, 3), (whole, 0)):
        code, out, err = run(capsys, "ensemble", "evaluate", tmp_path / "votes", "--data", path, "--json")
        assert code == expected, err
        figures[expected] = [each[path.name] for each in json.loads(out)["systems"].values()]
    assert figures[3] == figures[0]
    code, out, err = run(capsys, "ensemble", "predict", tmp_path / "votes", data)
    assert code == 3
    assert len(out.splitlines()) == 23
    where = [f"--ingredient={name}={folder}" for name, folder in zip(("model", "model (2)"), models, strict=True)]
    code, out, err = run(capsys, "verify", tmp_path / "votes", "--data", data, *where)
    assert code == 0, out + err

    # The same rows that can be read, and none that cannot: what is known of them agrees, and the others are in no figure.
    code, out, err = run(capsys, "verify", tmp_path / "votes", "--data", whole, *where)
    assert code == 0, out + err
    assert "weights and temperatures agree" in out
    assert "note: hf_soup_ensemble.json says 'rows.csv: 2 of 24 rows cannot be read" in out
