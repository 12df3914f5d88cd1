"""Discussions and pull requests of a repository: one JSON file each, numbered from 1."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hf_soup.localhub.atomic import write_json
from hf_soup.localhub.gitobjects import Commit, iso_date
from hf_soup.localhub.refusals import Refusal
from hf_soup.localhub.repository import Repository


@dataclass(frozen=True)
class Discussion:
    num: int
    title: str
    status: str  # draft, open, closed or merged
    author: str
    created: int  # seconds since 1970, UTC
    base: str | None  # the branch that a pull request is for; None for a mere discussion
    merge_commit: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_pull_request(self) -> bool:
        return self.base is not None

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


class Discussions:
    """Writers hold the repository's lock."""

    def __init__(self, repo: Repository) -> None:
        self._folder = repo.folder / "discussions"

    def all(self) -> list[Discussion]:
        """Newest first."""
        numbers = sorted((int(path.stem) for path in self._folder.glob("[0-9]*.json")), reverse=True)
        return [self.get(number) for number in numbers]

    def get(self, num: int) -> Discussion:
        path = self._path(num)
        if not path.exists():
            raise Refusal(404, f"Discussion {num} not found")
        return Discussion(**json.loads(path.read_text()))

    def open(self, title: str, description: str, author: str, *, base: str | None, status: str) -> Discussion:
        newest = self.all()
        num = newest[0].num + 1 if newest else 1
        discussion = Discussion(num, title, status, author, int(time.time()), base)
        self._save(discussion)
        return self.comment(num, description, author)[0] if description else discussion

    def comment(self, num: int, text: str, author: str) -> tuple[Discussion, dict[str, Any]]:
        data = {
            "edited": False,
            "hidden": False,
            "latest": {"raw": text, "html": "", "updatedAt": iso_date(int(time.time())), "author": {"name": author}},
            "history": [],
            "numEdits": 0,
        }
        return self._happened(num, "comment", author, data)

    def rename(self, num: int, title: str, author: str) -> tuple[Discussion, dict[str, Any]]:
        old = self.get(num).title
        return self._happened(num, "title-change", author, {"from": old, "to": title}, title=title)

    def set_status(
        self, num: int, status: str, author: str, merge_commit: str | None = None
    ) -> tuple[Discussion, dict[str, Any]]:
        return self._happened(
            num, "status-change", author, {"status": status}, status=status, merge_commit=merge_commit
        )

    def add_commit(self, num: int, commit: Commit, author: str) -> tuple[Discussion, dict[str, Any]]:
        return self._happened(num, "commit", author, {"subject": commit.title, "oid": commit.oid})

    def _happened(
        self, num: int, kind: str, author: str, data: dict[str, Any], **changes: Any
    ) -> tuple[Discussion, dict[str, Any]]:
        discussion = self.get(num)
        event = {
            "id": secrets.token_hex(12),
            "type": kind,
            "createdAt": iso_date(int(time.time())),
            "author": {"name": author, "type": "user"},
            "data": data,
        }
        changed = replace(discussion, **changes, events=[*discussion.events, event])
        self._save(changed)
        return changed, event

    def _save(self, discussion: Discussion) -> None:
        write_json(self._path(discussion.num), asdict(discussion))

    def _path(self, num: int) -> Path:
        return self._folder / f"{num}.json"
