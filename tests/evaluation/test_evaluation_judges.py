"""Functions and commands as judges: whatever harness the user has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_models import save_bert

from hf_soup.checkpoints import Checkpoint, open_checkpoint
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache, ScoreCommand


@contextmanager
def its_own_folder(checkpoint: Checkpoint) -> Iterator[Path]:
    assert checkpoint.ref is not None
    assert checkpoint.ref.path is not None
    yield checkpoint.ref.path


def script(tmp_path: Path, code: str) -> str:
    path = tmp_path / "judge it.py"
    path.write_text(f"import sys, json, pathlib\nmodel = pathlib.Path(sys.argv[-1])\n{code}\n")
    return f"'{sys.executable}' '{path}' --model {{model}}"


def judge_by(command: str, cache: PredictionCache, **options: Any) -> Evaluator:
    return Evaluator(HeldOut(ScoreCommand(command), **options), cache=cache, materialize=its_own_folder)


def test_a_command_gets_the_folder_and_prints_a_number(
    tmp_path: Path, berts: list[Path], cache: PredictionCache
) -> None:
    code = "print('loading'); print((model / 'config.json').stat().st_size / 1e6)"
    evaluator = judge_by(script(tmp_path, code), cache)
    assert evaluator.score(open_checkpoint(berts[0])) == (berts[0] / "config.json").stat().st_size / 1e6


def test_a_command_may_print_numbers_by_metric(tmp_path: Path, berts: list[Path], cache: PredictionCache) -> None:
    command = script(tmp_path, "print(json.dumps({'f1': 0.5, 'loss': 2, 'task': 'sst2'}))")
    evaluator = judge_by(command, cache, metric="loss", maximise=False)
    assert evaluator.score(open_checkpoint(berts[0])) == 2
    estimates = evaluator.evaluate(open_checkpoint(berts[0]), ["f1"])
    assert (estimates["f1"].value, estimates["f1"].low) == (0.5, None)
    assert not evaluator.held_out.maximise
    with pytest.raises(InputError, match=r"gave f1, loss, but not 'accuracy'; say which one counts"):
        judge_by(command, cache, metric="accuracy").score(open_checkpoint(berts[0]))


def test_a_command_runs_once_for_each_model(tmp_path: Path, berts: list[Path], cache: PredictionCache) -> None:
    command = script(tmp_path, f"open({str(tmp_path / 'log')!r}, 'a').write('x'); print(1)")
    for _ in range(2):
        evaluator = judge_by(command, cache)
        for folder in berts[:2]:
            evaluator.score(open_checkpoint(folder))
    assert (tmp_path / "log").read_text() == "xx"
    assert evaluator.forward_passes == 0


def test_a_changed_script_or_data_file_is_run_again(tmp_path: Path, berts: list[Path], cache: PredictionCache) -> None:
    command = script(tmp_path, "print(1)") + f" --data='{tmp_path / 'data.txt'}'"
    (tmp_path / "data.txt").write_text("a")
    assert judge_by(command, cache).score(open_checkpoint(berts[0])) == 1
    script(tmp_path, "print(2)")
    assert judge_by(command, cache).score(open_checkpoint(berts[0])) == 2
    before = ScoreCommand(command).fingerprint()
    assert ScoreCommand(command).fingerprint() == before
    (tmp_path / "data.txt").write_text("b")
    assert ScoreCommand(command).fingerprint() != before


def test_a_command_in_another_folder_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ScoreCommand("judge {model}").fingerprint()
    monkeypatch.chdir(tmp_path)
    assert ScoreCommand("judge {model}").fingerprint() != before


def test_the_name_of_a_command_tells_no_argument(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    command = script(tmp_path, "print(1)") + f" --token hf_abc --key {tmp_path / 'secret'}"
    assert HeldOut(ScoreCommand(command)).name == "score command judge it.py"
    assert HeldOut(ScoreCommand("/opt/tools/lm_eval --token hf_abc {model}")).name == "score command lm_eval"
    assert HeldOut(ScoreCommand("lm_eval {model}"), name="arc").name == "arc"


def test_a_command_that_fails_is_an_error_with_its_last_words(
    tmp_path: Path, berts: list[Path], cache: PredictionCache
) -> None:
    command = script(tmp_path, "print(1); print('out of luck', file=sys.stderr); sys.exit(3)")
    with pytest.raises(SoupError, match=r"(?s)ended with code 3:.*out of luck"):
        judge_by(command, cache).score(open_checkpoint(berts[0]))
    assert not list(cache.folder.rglob("*.json"))


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("print('done')", "it printed 'done'"),
        ("pass", "it printed nothing"),
        ("print('{}')", "it printed '{}'"),
        ("print('true')", "'true'"),
    ],
)
def test_a_command_that_prints_no_number_is_an_error(
    tmp_path: Path, berts: list[Path], cache: PredictionCache, code: str, shown: str
) -> None:
    with pytest.raises(SoupError, match=f"must print a number or a JSON object.*{shown}"):
        judge_by(script(tmp_path, code), cache).score(open_checkpoint(berts[0]))


def test_nothing_of_a_command_is_seen_by_a_shell(tmp_path: Path, berts: list[Path], cache: PredictionCache) -> None:
    command = script(tmp_path, "print(len(sys.argv))") + f" '; touch {tmp_path / 'shell'}' $HOME"
    assert judge_by(command, cache).score(open_checkpoint(berts[0])) == 5
    assert not (tmp_path / "shell").exists()


@pytest.mark.parametrize(
    ("command", "expected"), [("judge it", r"has no \{model\}"), ("judge '{model}", "cannot be split into words")]
)
def test_a_command_that_cannot_be_run_is_an_error_at_once(command: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        ScoreCommand(command)


def test_a_command_that_does_not_exist_is_an_error(berts: list[Path], cache: PredictionCache) -> None:
    with pytest.raises(InputError, match="cannot be started"):
        judge_by("no-such-program-anywhere {model}", cache).score(open_checkpoint(berts[0]))


def bias_sum(model: Any) -> float:
    return model.classifier.bias.sum().item()


def test_a_function_gets_each_model_in_memory(berts: list[Path], cache: PredictionCache) -> None:
    from transformers import AutoModelForSequenceClassification

    evaluator = Evaluator(HeldOut(bias_sum), cache=cache)
    for folder in berts:
        expected = bias_sum(AutoModelForSequenceClassification.from_pretrained(folder))
        assert evaluator.score(open_checkpoint(folder)) == expected


def test_a_functions_scores_are_kept_only_under_a_name(berts: list[Path], cache: PredictionCache) -> None:
    calls: list[int] = []

    def judge(model: Any) -> torch.Tensor:
        calls.append(1)
        return model.classifier.bias.sum()

    for _ in range(2):
        evaluator = Evaluator(HeldOut(judge), cache=cache)
        evaluator.score(open_checkpoint(berts[0]))
        evaluator.score(open_checkpoint(berts[0]))
    assert len(calls) == 2  # once a run
    for _ in range(2):
        Evaluator(HeldOut(judge, name="bias"), cache=cache).score(open_checkpoint(berts[0]))
    assert len(calls) == 3


def test_a_function_may_return_numbers_by_metric(berts: list[Path], cache: PredictionCache) -> None:
    evaluator = Evaluator(HeldOut(lambda model: {"nll": 0.25, "size": 3}, metric="nll"), cache=cache)
    assert evaluator.score(open_checkpoint(berts[0])) == 0.25
    assert not evaluator.held_out.maximise
    with pytest.raises(InputError, match="gives numbers and not predictions"):
        evaluator.predictions(open_checkpoint(berts[0]))


@pytest.mark.parametrize("answer", ["good", None, {}, {"a": "b"}])
def test_a_function_that_returns_no_number_is_an_error(berts: list[Path], cache: PredictionCache, answer: Any) -> None:
    with pytest.raises(InputError, match="returned"):
        Evaluator(HeldOut(lambda model: answer), cache=cache).score(open_checkpoint(berts[0]))


def test_a_function_cannot_spoil_the_model_for_the_next(tmp_path: Path, cache: PredictionCache) -> None:
    folder = save_bert(tmp_path / "bert", 5)

    def spoil(model: Any) -> float:
        training = model.training
        model.train().to(torch.float64)
        return float(training)

    evaluator = Evaluator(HeldOut(spoil), cache=cache)
    assert evaluator.score(open_checkpoint(folder)) == 0
    assert evaluator.score(open_checkpoint(save_bert(tmp_path / "next", 6))) == 0
