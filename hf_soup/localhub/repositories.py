"""All repositories of a hub, found on disk: `models/user/name.git` and `datasets/user/name.git`."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from hf_soup.localhub.attributes import ATTRIBUTES_FILE, initial_attributes
from hf_soup.localhub.refusals import Refusal, bad_request
from hf_soup.localhub.repository import Repository, RepoType, Settings


class Repositories:
    """Finds, makes and removes repositories. A folder with its final name is always a complete repository."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._open: dict[tuple[RepoType, str], Repository] = {}

    def find(self, repo_type: RepoType, repo_id: str) -> Repository | None:
        key = (repo_type, repo_id)
        with self._lock:
            if key not in self._open:
                folder = self._folder(repo_type, repo_id)
                if not _is_repo_id(repo_id) or not (folder / "hub.json").exists():
                    return None
                self._open[key] = Repository(folder)
            return self._open[key]

    def all(self, repo_type: RepoType) -> Iterator[Repository]:
        for folder in sorted((self._root / f"{repo_type}s").glob("*/*.git")):
            repo = self.find(repo_type, f"{folder.parent.name}/{folder.name.removesuffix('.git')}")
            if repo is not None:
                yield repo

    def create(self, repo_type: RepoType, repo_id: str, *, private: bool, author: str) -> Repository:
        if not _is_repo_id(repo_id):
            raise bad_request(
                f"Invalid repository name: {repo_id}. Use letters, digits, '-', '_' and '.', at most 96 characters,"
                " no '--' or '..', and neither '-' nor '.' at the ends"
            )
        if self.find(repo_type, repo_id) is not None:
            raise Refusal(409, f"You already created this {repo_type} repo")
        settings = Settings(repo_type, repo_id, secrets.token_hex(12), int(time.time()), private)
        draft = self._root / "incoming" / f"repository-{uuid.uuid4().hex}"
        first_file = (ATTRIBUTES_FILE, initial_attributes(repo_type))
        Repository.create(draft, settings, first_file, author)
        folder = self._folder(repo_type, repo_id)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(folder)
        found = self.find(repo_type, repo_id)
        assert found is not None
        return found

    def delete(self, repo: Repository) -> None:
        with self._lock:
            self._open.pop((repo.type, repo.id), None)
            trash = self._root / "incoming" / f"deleted-{uuid.uuid4().hex}"
            trash.parent.mkdir(parents=True, exist_ok=True)
            repo.folder.rename(trash)
        shutil.rmtree(trash)

    def _folder(self, repo_type: RepoType, repo_id: str) -> Path:
        return self._root / f"{repo_type}s" / f"{repo_id}.git"


def _is_repo_id(repo_id: str) -> bool:
    """The Hub's rule: two names of letters, digits and `-_.`."""
    parts = repo_id.split("/")
    return len(parts) == 2 and all(
        len(part) <= 96
        and re.fullmatch(r"[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?", part, re.ASCII)
        and "--" not in part
        and ".." not in part
        and not part.endswith(".git")
        for part in parts
    )
