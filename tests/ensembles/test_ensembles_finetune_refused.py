"""What is not fine-tuned, what is not trained on, and that nothing half-done looks done."""

from __future__ import annotations

from pathlib import Path

import pytest
from finetuned import QUICK, TEXT, families, held_out, held_out_rows, trained_on, training_rows
from test_ensembles_cli import run
from tiny_models import write_csv
from voting_models import keyword, save_text_model, shared

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles.record import EpochRecord, FineTuningRecord
from hf_soup.errors import InputError, SoupError


def refusal(ensemble: Ensemble, rows: HeldOut | None = None, **options) -> str:
    with pytest.raises(InputError) as told:
        ensemble.fit(rows or held_out(), finetune=True, **options)
    return str(told.value)


def test_functions_are_refused_by_name(tmp_path):
    ensemble = Ensemble({"bert": [shared(save_text_model, "bert", 0)], "rule": [keyword]})
    message = refusal(ensemble, train=trained_on(), out=tmp_path / "m")
    assert "keyword: a function, which cannot be fine-tuned" in message
    ready = Ensemble.from_predictions({"a": [[0.2, 0.9]]}, labels=[0, 1], classes=["no", "yes"])
    with pytest.raises(InputError, match="no models to fine-tune"):
        ready.fit(finetune=True)


def test_rows_that_are_judged_are_not_trained_on(tmp_path):
    ensemble, out = Ensemble(families()), tmp_path / "m"
    assert "holds the same rows as" in refusal(ensemble, train=HeldOut(held_out_rows(), TEXT), out=out)
    other_label = {"negative": "positive", "positive": "negative"}[held_out_rows()[5]["label"]]
    mixed = [*training_rows(9), {"text": held_out_rows()[5]["text"], "label": other_label}]
    message = refusal(ensemble, train=HeldOut(mixed, TEXT, name="mixed.csv"), out=out)
    assert "mixed.csv: row 10: also among the held-out rows" in message
    message = refusal(ensemble, train=trained_on(), out=out, tests={"later": trained_on()})
    assert "the rows of the test later" in message
    assert not list(tmp_path.iterdir())


def test_groups_are_not_split_between_training_and_judging(tmp_path):
    def grouped(rows, start):
        return [{**row, "video": f"v{start + number // 4}"} for number, row in enumerate(rows)]

    judged = HeldOut(grouped(held_out_rows(), 0), TEXT, group_by="video")
    ensemble = Ensemble(families())
    message = refusal(ensemble, judged, train=trained_on(), out=tmp_path / "m")
    assert "are grouped by 'video'" in message
    rows = HeldOut(grouped(training_rows(), 11), TEXT, group_by="video", name="train")
    assert "train: 'v11' of 'video' are also among the held-out rows" in refusal(
        ensemble, judged, train=rows, out=tmp_path / "m"
    )


def test_settings_that_cannot_be_are_told_together(tmp_path):
    message = refusal(Ensemble(families()), epochs=0, learning_rate=float("nan"), batch_size=0)
    for part in ("epochs=0", "learning_rate=nan", "batch_size=0", "Fine-tuning needs rows to train on"):
        assert part in message
    assert "out='FOLDER'" in refusal(Ensemble(families()), train=trained_on())
    assert "tier1='soup'" in refusal(Ensemble(families(), tier1="soup"), train=trained_on(), out=tmp_path / "m")
    with pytest.raises(InputError, match="finetune=True"):
        Ensemble(families()).fit(held_out(), train=trained_on())
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    assert "exists" in refusal(Ensemble(families()), train=trained_on(), out=tmp_path / "there")
    labelled = [{**row, "label": "mixed"} if number == 3 else row for number, row in enumerate(training_rows(20))]
    message = refusal(Ensemble(families()), train=HeldOut(labelled, TEXT, name="t.csv"), out=tmp_path / "m")
    assert "t.csv: row 4: the members know no class mixed" in message


def test_an_interrupt_leaves_nothing_with_a_final_name(tmp_path, monkeypatch):
    from transformers import PreTrainedModel

    from hf_soup.ensembles.finetune import training

    def fit():
        Ensemble(families()).fit(held_out(), finetune=True, train=trained_on(), out=tmp_path / "m", **QUICK)

    def stop(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "say", stop)  # after the first epoch
        with pytest.raises(KeyboardInterrupt):
            fit()
    assert not list(tmp_path.iterdir())
    save, seen = PreTrainedModel.save_pretrained, []

    def save_one(self, target, **options):
        seen.append(Path(target))
        if len(seen) == 2:
            raise KeyboardInterrupt
        save(self, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(PreTrainedModel, "save_pretrained", save_one)
        with pytest.raises(KeyboardInterrupt):
            fit()
    assert [path.parent.name for path in seen] == ["m.partial", "m.partial"]
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_is_an_error_and_writes_nothing(tmp_path):
    ensemble = Ensemble({"a": {"a": shared(save_text_model, "bert", 0)}})
    with pytest.raises(SoupError, match=r"loss is nan in epoch 1: choose a lower learning_rate"):
        ensemble.fit(
            held_out(), finetune=True, train=trained_on(), out=tmp_path / "m", **{**QUICK, "learning_rate": 1e30}
        )
    assert not list(tmp_path.iterdir())


def test_training_that_does_harm_is_said():
    epoch = EpochRecord(train_nll=0.1, held_out_nll=0.7, weights={"a": 1.0})
    facts = {"data": "t.csv", "rows": 9, "fingerprint": "", "learning_rate": 1e-2, "batch_size": 3, "seed": 0}
    found = FineTuningRecord(**facts, device="cpu", processes=1, before=0.6, epochs=[epoch], kept=1, starts={})
    assert "(0.7000, before 0.6000)" in found.harmed
    assert not found.model_copy(update={"before": 0.8}).harmed
    assert "1 epoch over t.csv (9 rows), learning rate 0.01, 3 rows a step, seed 0" in found.sentence()


@pytest.mark.parametrize(
    ("where", "said", "left"),
    [
        ("hf_soup.ensembles.finetune.training.train", "the same command trains anew, from the first epoch", []),
        ("hf_soup.ensembles.saving.save_ensemble", "The fine-tuned members are complete in", ["votes-members"]),
    ],
)
def test_an_interruption_says_what_is_kept_and_promises_nothing_else(tmp_path, monkeypatch, capsys, where, said, left):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    data, rows = write_csv(tmp_path / "h.csv", held_out_rows()), write_csv(tmp_path / "t.csv", training_rows())
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(where, stop)
    code, _, err = run(
        capsys, "ensemble", "fit", f"--family=bert={shared(save_text_model, 'bert', 0)}", "--data", data, "--task", TEXT,
        "--finetune", "--train", rows, "--epochs", 1, "--method", "equal", "-o", tmp_path / "votes",
    )  # fmt: skip
    assert code == 130, err
    assert said in err
    assert "goes on from there" not in err
    assert sorted({path.name for path in tmp_path.iterdir()} - before) == left


@pytest.mark.hub
def test_an_interruption_while_it_is_published_says_how_to_publish(hub, repo, tmp_path, monkeypatch, capsys):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    data = write_csv(tmp_path / "h.csv", held_out_rows())
    monkeypatch.setattr("hf_soup.publishing.pushing.push", stop)
    code, _, err = run(
        capsys, "ensemble", "fit", f"--family=bert={shared(save_text_model, 'bert', 0)}", "--data", data, "--task", TEXT,
        "--method", "equal", "-o", tmp_path / "votes", "--push", repo,
    )  # fmt: skip
    assert code == 130, err
    assert f"publish it with: hf-soup push {tmp_path / 'votes'} {repo}" in err
    assert "goes on from there" not in err
