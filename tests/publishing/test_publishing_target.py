"""Whether a push can be made is asked before the merge that is to be pushed."""

from __future__ import annotations

import itertools
import json

import pytest
from tiny_checkpoints import write_relatives

from hf_soup import Soup
from hf_soup.cli import main
from hf_soup.errors import HubError, InputError
from hf_soup.publishing import Target, target_problems

pytestmark = pytest.mark.hub
_NUMBERS = itertools.count()


@pytest.fixture
def stranger(hub):
    """A user with a write token and no organisation."""
    return hub.add_user(f"stranger-{next(_NUMBERS)}")


def test_a_repository_of_ones_own_that_exists_or_not_is_no_problem_and_nothing_is_changed(hub, api, repo):
    hub.clear_requests()
    assert target_problems(Target(repo)) == []
    assert target_problems(Target("tester/not-made-yet", private=True)) == []
    assert target_problems(Target("soup-org/not-made-yet")) == []
    assert target_problems(Target("no-namespace")) == []
    assert {request.method for request in hub.requests} == {"GET"}
    assert not api.repo_exists("tester/not-made-yet")


def test_a_namespace_of_others_is_said_with_those_that_one_has():
    [problem] = target_problems(Target("testr/soup"))
    assert "testr/soup: does not exist" in problem
    assert "tester, soup-org" in problem


def test_a_repository_of_others_takes_pull_requests_only(repo, stranger):
    [problem] = target_problems(Target(repo), stranger.token)
    assert "may not write there" in problem
    assert "--pr" in problem
    assert target_problems(Target(repo, create_pr=True), stranger.token) == []


def test_a_token_that_only_reads_is_said(repo, hub):
    token = hub.reader_token
    assert "may not write there" in target_problems(Target(repo), token)[0]
    assert "may only read" in target_problems(Target(repo, create_pr=True), token)[0]
    assert "may only read" in target_problems(Target("reader/soup"), token)[0]


def test_no_token_and_a_wrong_one_are_said(repo):
    for target in (Target(repo), Target("tester/not-made-yet")):
        assert "publishing needs a token; log in" in target_problems(target, False)[0]
        assert "does not accept the token; log in" in target_problems(target, "hf_wrong")[0]


def test_a_public_repository_a_tag_and_an_impossible_name_are_said(api, repo):
    api.create_tag(repo, tag="v1")
    assert "is public" in target_problems(Target(repo, private=True))[0]
    assert "'v1' is not a branch" in target_problems(Target(repo, revision="v1"))[0]
    assert "not a valid Hub ID" in target_problems(Target("a/b/c"))[0]
    with pytest.raises(InputError, match="leave out either --pr or --revision"):
        Target(repo, create_pr=True, revision="other")


def test_a_mirror_that_does_not_answer_the_question_is_no_problem(hub, repo):
    fault = hub.faults.add("/auth-check/write", status=404, times=None)
    assert target_problems(Target(repo)) == []
    assert fault.hits == 1


def test_a_hub_that_fails_is_no_answer(hub, repo, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.faults.add(status=503, times=None)
    with pytest.raises(HubError, match=r"run the command again"):
        target_problems(Target(repo))


def test_a_merge_that_is_to_be_pushed_lists_it_with_its_other_problems(tmp_path):
    folders = write_relatives(tmp_path / "in", 2)
    config = json.loads((folders[1] / "config.json").read_text())
    (folders[1] / "config.json").write_text(json.dumps({**config, "model_type": "roberta"}))
    with pytest.raises(InputError) as caught:
        Soup(folders).merge(out=tmp_path / "soup", weights=[1], publish="testr/soup")
    text = str(caught.value)
    assert "testr/soup: does not exist" in text
    assert len(caught.value.problems) >= 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "words",
    [
        ("merge",),
        ("merge", "--dry-run"),
        ("greedy", "--score", "echo {model}"),
    ],
    ids=" ".join,
)
def test_the_commands_say_it_before_they_merge(capsys, tmp_path, words):
    folders = write_relatives(tmp_path / "in", 2)
    with pytest.raises(SystemExit) as end:
        main([words[0], *map(str, folders), *words[1:], "-o", str(tmp_path / "soup"), "--push", "testr/soup"])
    assert end.value.code == 2
    said = "".join(capsys.readouterr())
    assert "testr/soup: does not exist" in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
