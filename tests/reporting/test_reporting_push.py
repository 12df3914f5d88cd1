"""`--push`: forecasts and report as a data set on the Hub, in one commit, without what belongs to this machine."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from report_samples import SERVER, table, write_csv, write_run

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.reporting import push_report, report
from hf_soup.reporting.data_set_columns import data_set_columns

if TYPE_CHECKING:
    from huggingface_hub import HfApi

pytestmark = pytest.mark.hub
pytest.importorskip("scoringrules")

_NUMBER = itertools.count(1)
FILES = {
    "README.md",
    "aggregate.jsonl",
    "forecasts.jsonl",
    "questions.jsonl",
    "report.html",
    "report.md",
    "scores.json",
}


@pytest.fixture
def repo(hub_user: str) -> str:
    """The name of a data set that is not there yet."""
    return f"{hub_user}/forecast-report-{next(_NUMBER)}"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run with one transcript, which names the server."""
    folder = write_run(tmp_path / "run")
    call = {
        "key": "k",
        "slot": "slot-0-0-0",
        "question_id": "q0",
        "member": "openai/alpha",
        "model": "openai/alpha",
        "api_base": SERVER,
        "sample": 0,
        "prompt": "superforecaster",
        "messages": [{"role": "user", "content": "Will it rain?"}],
        "requested": {"temperature": 1, "extra_headers": {"x": "y"}},
        "effective": {"api_base": SERVER},
        "text": "Probability: 60%",
        "returned_model": "/models/private/alpha.gguf",
        "error": {"kind": "timeout", "message": f"no answer from {SERVER}", "http_status": None},
        "time": "2026-01-02T00:00:00Z",
    }
    (folder / "calls.jsonl").write_text(json.dumps(call) + '\n{"key": "half a li')
    return folder


def push(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Runs the command to its end and returns the address of the commit."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "report", *map(str, words), "--json"])
    out, err = capsys.readouterr()
    assert not ended.value.code, err
    return str(json.loads(out)["url"])


def contents(api: HfApi, repo_id: str) -> dict[str, str]:
    """Every file of the data set as text, but for git's own."""
    names = [name for name in api.list_repo_files(repo_id, repo_type="dataset") if name != ".gitattributes"]
    paths = {name: api.hf_hub_download(repo_id, name, repo_type="dataset") for name in names}
    return {name: Path(path).read_text(encoding="utf-8") for name, path in paths.items()}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def check_that_every_table_loads(repo_id: str, found: dict[str, str], cache: Path) -> None:
    """Loads them from the Hub as everybody does, with the datasets library: the rows are those of the files."""
    datasets = pytest.importorskip("datasets")
    for config in ("forecasts", "questions", "aggregate"):
        loaded = datasets.load_dataset(repo_id, config, split="train", cache_dir=str(cache))
        assert list(loaded) == [
            {name: moment(value) if name.endswith(("time", "date")) else value for name, value in row.items()}
            for row in lines(found[f"{config}.jsonl"])
        ]


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def check_that_scores_come_out_again(
    found: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the two published files alone."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("forecasts.jsonl", "questions.jsonl"):
        (folder / name).write_text(found[name], encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["forecast", "score", "forecasts.jsonl", "--questions", "questions.jsonl", "--json"])
    again, published = json.loads(capsys.readouterr().out), json.loads(found["scores.json"])
    means = {each["name"]: each["means"] for each in published["columns"]}
    assert {each["name"] for each in again["columns"]} <= means.keys()
    for each in again["columns"]:
        assert each["means"] == pytest.approx(means[each["name"]])


def test_a_run_becomes_a_data_set_in_one_commit_with_a_card(api, repo, run_folder, tmp_path, capsys, monkeypatch):
    url = push(capsys, run_folder, "--push", repo, "--license", "cc-by-4.0")

    found = contents(api, repo)
    commits = api.list_repo_commits(repo, repo_type="dataset")
    assert found.keys() == FILES
    assert f"/datasets/{repo}/commit/{commits[0].commit_id}" in url
    assert len(commits) == 2  # the Hub's own, which makes the repository
    rows = lines(found["forecasts.jsonl"])
    assert len(rows) == 240
    assert {row["reason"] for row in rows} == {None, "timeout", "it says: ask [address]"}
    assert found["report.html"] == (run_folder / "report.html").read_text(encoding="utf-8")
    assert len(found["questions.jsonl"].splitlines()) == 40
    assert json.loads(found["questions.jsonl"].splitlines()[0])["topic"] == "Sport"
    card = found["README.md"]
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert "forecasting" in front["tags"]
    assert front["configs"][0] == {"config_name": "forecasts", "data_files": "forecasts.jsonl", "default": True}
    assert "On 36 resolved questions" in card
    assert "hf-soup forecast report forecasts.jsonl --questions questions.jsonl" in card
    assert f'load_dataset("{repo}", "forecasts", split="train")' in card
    check_that_every_table_loads(repo, found, tmp_path / "cache")
    check_that_scores_come_out_again(found, tmp_path / "again", capsys, monkeypatch)


def test_no_server_path_or_key_is_published(api, repo, run_folder, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key-0123456789")
    push(capsys, run_folder, "--push", repo, "--with-transcripts")

    found = contents(api, repo)
    assert "calls.jsonl" in found
    for name, text in found.items():
        for secret in (SERVER, "10.1.2.3", "/models/private", "sk-not-a-real-key", str(run_folder)):
            assert secret not in text, (name, secret)
    (call,) = map(json.loads, found["calls.jsonl"].splitlines())
    assert call["text"] == "Probability: 60%"
    assert call["requested"] == {"temperature": 1}
    assert call["error"] == {"kind": "timeout", "http_status": None}


def test_ready_made_forecasts_can_be_scored_again_from_what_was_published(api, repo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    push(capsys, write_csv(tmp_path / "wide.csv", table(40)), "--push", repo, "--private")

    found = contents(api, repo)
    assert api.dataset_info(repo).private
    assert found.keys() == FILES
    rows = lines(found["forecasts.jsonl"])
    assert rows[0].keys() == {"question_id", "model", "sample", "probability"}
    assert len(rows) == 120
    check_that_every_table_loads(repo, found, tmp_path / "cache")
    check_that_scores_come_out_again(found, tmp_path / "again", capsys, monkeypatch)


def test_a_column_that_is_empty_for_many_megabytes_loads_too(tmp_path):
    """A reader looks at the first ten megabytes; the only reason in this file stands behind them."""
    datasets = pytest.importorskip("datasets")
    rows = [{"id": f"q{n}", "text": "x" * 4000, "reason": None, "flags": [], "cost": 1} for n in range(3000)]
    rows.append({"id": "last", "text": "", "reason": "refused", "flags": ["late"], "cost": 0.5})
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "rows.jsonl").write_bytes(content)
    front = {
        "configs": [{"config_name": "rows", "data_files": "rows.jsonl"}],
        "dataset_info": [{"config_name": "rows", "features": data_set_columns(content)}],
    }
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n")
    found = datasets.load_dataset(str(tmp_path), "rows", split="train", cache_dir=str(tmp_path / "cache"))
    assert len(found) == 3001
    assert found[3000] == rows[-1]
    assert found[0]["reason"] is None


def test_the_same_push_again_makes_no_commit(api, repo):
    made, said = report(table(20, crowd=False)), []
    first = push_report(made, repo, warn=said.append)
    assert push_report(made, repo, warn=said.append) == first
    assert len(api.list_repo_commits(repo, repo_type="dataset")) == 2
    assert any("states no licence" in each for each in said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf_" + "a" * 34, "an access token"),
        ("sk-" + "abcdefgh12345678", "a provider's key"),
        ("its folder", "the home folder"),
    ],
)
def test_what_must_not_leave_this_machine_stops_the_push(api, repo, monkeypatch, tmp_path, name, said):
    if "home" in said:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        name = f"{tmp_path}/models/llama"
    made = report(table(5, 1, 1, crowd=False), questions_text={"question 1": f"Is {name} good?"})
    with pytest.raises(InputError, match=said) as caught:
        push_report(made, repo)
    assert not api.repo_exists(repo, repo_type="dataset")
    for problem in caught.value.problems:
        assert problem.startswith("report.html")
        assert " of the data set would hold " in problem
    assert "hf_aaaa" not in str(caught.value)
    assert "sk-abc" not in str(caught.value)


def test_a_private_push_does_not_go_to_a_public_data_set(api, repo):
    api.create_repo(repo, repo_type="dataset")
    with pytest.raises(InputError, match="is public"):
        push_report(report(table(5, 1, 1, crowd=False)), repo, private=True)


def test_a_model_of_the_same_name_is_left_alone(api, repo):
    api.create_repo(repo)
    push_report(report(table(5, 1, 1, crowd=False)), repo)
    assert api.list_repo_files(repo) == [".gitattributes"]
