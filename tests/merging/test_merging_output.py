"""Where a result is put: file systems that cannot take it are found before the work."""

from __future__ import annotations

from pathlib import Path

from hf_soup.merging.output import case_problems


def test_names_that_differ_in_case_alone_are_refused_where_case_is_not_told_apart(tmp_path, monkeypatch):
    names = ["config.json", "Vocab.txt", "vocab.txt"]
    assert case_problems(tmp_path / "soup", names) == [] or Path(str(tmp_path).upper()).exists()
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: real(path) or path.name.startswith(".HF-SOUP-CASE-"))
    assert case_problems(tmp_path / "soup", ["config.json", "vocab.txt"]) == []
    (problem,) = case_problems(tmp_path / "soup", names)
    assert "does not tell upper from lower case" in problem
    assert "'Vocab.txt' and 'vocab.txt'" in problem
    assert not any(tmp_path.iterdir())
