"""Fine-tuned members on the Hub and back: the command, the card, and names that must not stand there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from finetuned import ONCE, QUICK, TEXT, held_out, held_out_rows, trained_on, training_rows
from huggingface_hub import snapshot_download
from published_ensembles import upload
from test_ensembles_cli import run
from tiny_models import write_csv
from voting_models import save_text_model, shared, texts

from hf_soup import Ensemble, verify
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.errors import InputError
from hf_soup.publishing import push


@pytest.mark.hub
def test_from_the_command_to_the_hub_and_back(capsys, hub, repo, tmp_path):
    names = [
        upload("tester/ft-bert", save_text_model("bert", 1)),
        upload("tester/ft-distil", save_text_model("distilbert", 3)),
    ]
    data, rows = (
        write_csv(tmp_path / "held_out.csv", held_out_rows()),
        write_csv(tmp_path / "train.csv", training_rows()),
    )
    out = tmp_path / "votes"
    command = [
        "ensemble",
        "fit",
        f"--family=bert={names[0]}",
        f"--family=distil={names[1]}",
        "--data",
        data,
        "--task",
        TEXT,
        "-o",
        out,
    ]
    code, _, err = run(capsys, *command, "--train", rows)
    assert (code, "--train is for --finetune" in err) == (2, True)
    code, _, err = run(capsys, *command, "--finetune")
    assert (code, "--train FILE" in err) == (2, True)
    left = tmp_path / "votes-members"
    left.mkdir()
    code, _, err = run(capsys, *command, "--finetune", "--train", rows)
    assert (code, "holds what an earlier run trained" in err) == (2, True)
    left.rmdir()
    code, said, err = run(
        capsys, *command, "--finetune", "--train", rows, "--epochs", 2, "--learning-rate", 3e-3, "--batch-size", 16,
        "--push", repo, "--json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(said)
    assert document["finetuning"]["rows"] == 100
    assert len(document["finetuning"]["epochs"]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"held_out.csv", "train.csv", "votes"}
    card = (out / "README.md").read_text()
    assert "2 epochs over train.csv (100 rows), learning rate 0.003, 16 rows a step, seed 0" in card
    assert "base_model:\n- tester/ft-bert\n- tester/ft-distil" in card
    assert "license: mit" in card
    assert "these chose its epoch" in card
    assert card.index("They began as [tester/ft-bert](") > 0
    loaded = Ensemble.from_pretrained(repo)
    assert {member.checkpoint.ref.repo_id for member in loaded.opened().members} == {repo}
    assert [member.name for member in loaded.opened().members] == [f"{name} (fine-tuned)" for name in names]
    local = Ensemble.from_pretrained(out).predict(texts())
    np.testing.assert_allclose(loaded.predict(texts()).probabilities, local.probabilities, atol=1e-6)
    again = loaded.save(tmp_path / "again", bundle=True)
    assert EnsembleRecord.read(again / ENSEMBLE_RECORD).finetuning.starts.keys() == {
        f"{name} (fine-tuned)" for name in names
    }
    code, said, err = run(capsys, "verify", repo, "--data", data)
    assert code == 0, said + err
    assert "figures were computed again and agree" in said


@pytest.mark.hub
def test_a_private_start_is_not_named(hub, repo, tmp_path):
    secret = upload("tester/ft-secret", save_text_model("bert", 7), private=True)
    ensemble = Ensemble({"bert": [secret], "distil": {"d": shared(save_text_model, "distilbert", 5)}})
    ensemble.fit(held_out(), tiers="flat", finetune=True, train=trained_on(), out=tmp_path / "m", **QUICK)
    ensemble.push_to_hub(repo, license="mit", publish_private_weights=True)
    there = Path(snapshot_download(repo))
    for path in there.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert "ft-secret" not in path.read_text(), path.name
    record = EnsembleRecord.read(there / ENSEMBLE_RECORD)
    assert next(iter(record.finetuning.starts.values())).repo_id is None
    assert record.finetuning.epochs[0].weights.keys() == {member.name for member in record.members}
    assert verify(repo).exit_code == 0


@pytest.mark.hub
def test_from_python_the_members_are_published_too_under_the_licence_of_their_starts(capsys, hub, repo, tmp_path):
    names = [
        upload("tester/ft-a", save_text_model("bert", 1)),
        upload("tester/ft-b", save_text_model("distilbert", 3)),
    ]
    ensemble = Ensemble({"bert": names[:1], "distil": names[1:]})
    ensemble.fit(held_out(), train=trained_on(), out=tmp_path / "m", **ONCE)
    capsys.readouterr()
    ensemble.push_to_hub(repo)
    assert "icence" not in capsys.readouterr().err  # all are MIT, there is nothing to say
    card = (Path(snapshot_download(repo)) / "README.md").read_text()
    assert "license: mit" in card
    assert "author's machine" not in card
    assert "They began as [tester/ft-a](" in card
    np.testing.assert_allclose(
        Ensemble.from_pretrained(repo).predict(texts()).probabilities,
        ensemble.predict(texts()).probabilities,
        atol=1e-6,
    )


@pytest.mark.hub
def test_licences_of_starts_that_differ_are_listed_by_the_names_of_the_starts(capsys, hub, repo, tmp_path):
    names = [
        upload("tester/ft-mit", save_text_model("bert", 1)),
        upload("tester/ft-apache", save_text_model("distilbert", 3), card="---\nlicense: apache-2.0\n---\n"),
    ]
    ensemble = Ensemble({"bert": names[:1], "distil": names[1:]})
    ensemble.fit(held_out(), train=trained_on(), out=tmp_path / "m", **ONCE)
    capsys.readouterr()
    folder = ensemble.save(tmp_path / "votes")
    said = capsys.readouterr().err
    with pytest.raises(InputError) as refused:
        push(folder, repo)
    assert refused.value.problems[1:] == ("tester/ft-mit: mit", "tester/ft-apache: apache-2.0")
    assert "tester/ft-mit: mit tester/ft-apache: apache-2.0\n" in said
    push(folder, repo, license="mit")
    card = (Path(snapshot_download(repo)) / "README.md").read_text()
    assert "The ingredients state: tester/ft-mit: mit; tester/ft-apache: apache-2.0." in card
