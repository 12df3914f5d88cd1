"""The table of routes: method and path template, and the function that answers.

Templates are matched against the path as sent, so that `refs%2Fpr%2F1` stays one part; values are decoded afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import unquote

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response

from hf_soup.localhub.accounts import User
from hf_soup.localhub.largefiles import Upload
from hf_soup.localhub.permissions import require_content, require_visible
from hf_soup.localhub.refusals import bad_request
from hf_soup.localhub.repository import Repository, RepoType
from hf_soup.localhub.state import HubState

BodyKind = Literal["json", "file"]  # "file": streamed to disk

_PARTS = {
    "type": "models|datasets",
    "prefix": "datasets/|",
    "repo": "[^/]+/[^/]+?",
    "path": ".+",
    "number": r"\d+",
    "sha256": "[0-9a-f]{64}",
}


@dataclass
class Call:
    """One request on its way to the function that answers it."""

    hub: HubState
    method: str
    path: str
    values: dict[str, str]  # from the template
    query: QueryParams
    headers: Headers
    user: User | None
    body: bytes
    upload: Upload | None

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise bad_request(f"Invalid JSON: {error}") from None
        if not isinstance(value, dict):
            raise bad_request("Expected a JSON object")
        return value

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    @property
    def repo_type(self) -> RepoType:
        """What the path is about: `{type}` of the API, `{prefix}` of file addresses."""
        plural = self.values.get("type") or self.values.get("prefix")
        return "dataset" if plural in ("datasets", "datasets/") else "model"

    def repo(self, *, content: bool = False) -> Repository:
        """The repository that the path names; `content` asks for the right to read its files too."""
        repo = require_visible(self.user, self.hub.repositories.find(self.repo_type, self.values["repo"]))
        if content:
            require_content(self.user, repo)
        return repo


T = TypeVar("T")


def field(item: Any, name: str, kind: type[T]) -> T:
    """A required value of a JSON object."""
    value = item.get(name) if isinstance(item, dict) else None
    if not isinstance(value, kind):
        raise bad_request(f'"{name}" is required and must be of type {kind.__name__}')
    return value


Answer = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    answer: Answer
    body: BodyKind


class Routes:
    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, template: str, body: BodyKind = "json") -> Callable[[Answer], Answer]:
        pattern = re.compile(
            re.sub(r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{_PARTS.get(part[1], '[^/]+')})", template)
        )

        def register(answer: Answer) -> Answer:
            self._routes.append(Route(method, pattern, answer, body))
            return answer

        return register

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """The first route that fits; HEAD is answered like GET, without the body."""
        wanted = "GET" if method == "HEAD" else method
        for route in self._routes:
            if route.method == wanted and (match := route.pattern.fullmatch(raw_path)):
                return route, {name: unquote(value or "") for name, value in match.groupdict().items()}
        return None


hub_routes = Routes()
cdn_routes = Routes()


def repo_url(hub: HubState, repo: Repository) -> str:
    return f"{hub.endpoint}/{'datasets/' if repo.type == 'dataset' else ''}{repo.id}"
