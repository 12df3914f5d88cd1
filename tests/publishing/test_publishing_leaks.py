"""What must not leave this machine is found, and what is harmless is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf_soup.publishing import leaks

TOKEN = "hf_" + "a1B2" * 9


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "maria")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/maria"))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "results" / "soup"
    place.mkdir(parents=True)
    (place / "README.md").write_text("# A soup\n\nSee /usr/share/doc and https://huggingface.co/me/run.\n")
    (place / "soup.json").write_text(json.dumps({"format": "hf-soup"}))
    return place


def test_a_clean_folder_has_no_leaks(folder):
    assert leaks(folder) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (TOKEN, "an access token"),
        ("/home/maria/runs/a", "the home folder of this machine"),
        ("/mnt/home/maria/runs", "the user of this machine in a path"),
        ("C:\\Users\\maria\\runs", "the user of this machine in a path"),
        (json.dumps("C:\\Users\\Maria\\runs"), "the user of this machine in a path"),
        ("thanks to me/secret.", "the name of the private repository me/secret"),
    ],
)
@pytest.mark.parametrize("name", ["README.md", "soup.json", "tokenizer_config.json", "modeling_mine.py"])
def test_each_kind_of_leak_is_found_in_each_text_file(folder, text, what, name):
    with (folder / name).open("a") as file:
        file.write(f"\n{text}\n")
    [found] = leaks(folder, private=frozenset(["me/secret"]))
    assert found.startswith(f"{name} of soup: holds {what}")
    assert TOKEN not in found


def test_the_client_s_own_token_is_found_whatever_it_looks_like(folder):
    (folder / "README.md").write_text("key: opaque-secret\n")
    assert len(leaks(folder, token="opaque-secret")) == 1


def test_the_folder_s_own_path_is_found(folder):
    (folder / "README.md").write_text(f"made in {folder}\n")
    assert "a path of this machine" in leaks(folder)[0]


@pytest.mark.parametrize(
    "text",
    [
        "/home/marianne/runs",
        "maria wrote this",
        "hf_token",
        "me/secret-2",
        "you/me/secret",
        "/home/",
        "x.home/maria/a",
    ],
)
def test_what_only_looks_similar_is_no_leak(folder, text):
    (folder / "README.md").write_text(f"{text}\n")
    assert leaks(folder, private=frozenset(["me/secret"])) == []


def test_a_vocabulary_that_knows_the_word_root_is_no_leak(folder, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/root"))
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    (folder / "vocab.json").write_text(json.dumps({"/root": 1, "root": 2, "/root/": 3}))
    assert leaks(folder) == []
    (folder / "README.md").write_text("made from /root/runs/a\n")
    assert len(leaks(folder)) == 1


@pytest.mark.parametrize("home", ["/", ".", ""])
def test_a_home_that_says_nothing_makes_no_leak_of_an_address(folder, monkeypatch, home):
    monkeypatch.setattr(Path, "home", lambda: Path(home))
    (folder / "README.md").write_text("https://pypi.org/project/hf-soup, ./runs and a/b\n")
    assert leaks(folder) == []


def test_no_home_at_all_makes_no_leak(folder, monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert leaks(folder) == []


def test_weights_and_pictures_are_not_read(folder):
    (folder / "model.safetensors").write_bytes(TOKEN.encode())
    (folder / "selection.png").write_bytes(TOKEN.encode())
    assert leaks(folder) == []
