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
    assert "its figures were computed again and agree" in said


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
    assert [one["name"] for one in document["report"]["sets"]] == ["held-out", "later"]
    code, out, err = run(
        capsys, "ensemble", "evaluate", tmp_path / "votes", *given, "--data", fit, "--test", f"later={test}"
    )
    assert code == 0, err
    code, out, err = run(capsys, "verify", tmp_path / "votes", *given, "--data", fit, "--data", test)
    assert code == 0, out + err
    assert "its figures were computed again and agree" in out
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
    assert code == 0, err
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
