"""Listings of a commit: a tree, or named paths."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.content import xet_file
from hf_soup.localhub.gitobjects import Commit
from hf_soup.localhub.pages import page
from hf_soup.localhub.refusals import bad_request, entry_not_found
from hf_soup.localhub.repository import Entry, Repository
from hf_soup.localhub.routing import Call, hub_routes

Row = dict[str, Any]


@hub_routes.add("GET", "/api/{type}/{repo}/tree/{rev}")
@hub_routes.add("GET", "/api/{type}/{repo}/tree/{rev}/{path}")
def list_tree(call: Call) -> Response:
    repo = call.repo()
    commit = repo.resolve(call.values["rev"])
    folder = call.values.get("path", "").strip("/")
    rows = _Rows(call, repo, commit, expand=call.flag("expand"))
    listing = rows.below(folder, recursive=call.flag("recursive"))
    if folder and not listing:
        raise entry_not_found(commit.oid, f'{folder} does not exist on "{call.values["rev"]}"')
    response = page(call, listing)
    response.headers["X-Repo-Commit"] = commit.oid
    return response


@hub_routes.add("POST", "/api/{type}/{repo}/paths-info/{rev}")
def describe_paths(call: Call) -> Response:
    """Paths that do not exist are left out of the answer."""
    repo = call.repo()
    commit = repo.resolve(call.values["rev"])
    if "json" in call.headers.get("content-type", ""):
        wanted = call.json()
        paths, expand = wanted.get("paths", []), bool(wanted.get("expand"))
    else:
        form = parse_qs(call.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    if not isinstance(paths, list) or len(paths) > 1000:
        raise bad_request('"paths" must be a list of at most 1000 paths')
    rows = _Rows(call, repo, commit, expand)
    return JSONResponse([row for path in paths if (row := rows.one(path.strip("/"))) is not None])


class _Rows:
    """Describes the entries of one commit."""

    def __init__(self, call: Call, repo: Repository, commit: Commit, expand: bool) -> None:
        self._call = call
        self._files = repo.files(commit)
        self._folders = repo.tree_ids(commit)
        self._last_change = _last_changes(repo, commit) if expand else None

    def below(self, folder: str, recursive: bool) -> list[Row]:
        """Folders and files of a folder, sorted by path."""
        start = f"{folder}/" if folder else ""
        paths = [path for path in [*self._folders, *self._files] if path.startswith(start)]
        rows = [self.one(path) for path in sorted(paths) if recursive or "/" not in path[len(start) :]]
        return [row for row in rows if row is not None]

    def one(self, path: str) -> Row | None:
        if path in self._files:
            row = self._file(path, self._files[path])
        elif path in self._folders:
            row = {"type": "directory", "oid": self._folders[path], "size": 0, "path": path}
        else:
            return None
        if self._last_change is not None:
            commit = self._last_change[path]
            row["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": commit.date}
        return row

    def _file(self, path: str, entry: Entry) -> Row:
        row: Row = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
        if entry.sha256 is not None:
            row["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
            if (file := xet_file(self._call.hub.xet, entry.sha256)) is not None:
                row["xetHash"] = file.hash
        if self._last_change is not None:
            row["securityFileStatus"] = {"status": "unscanned", "avScan": None, "pickleImportScan": None}
        return row


def _last_changes(repo: Repository, commit: Commit) -> dict[str, Commit]:
    """The newest commit that changed each path (files and folders) of `commit`."""
    found: dict[str, Commit] = {}
    wanted = {**repo.tree_ids(commit), **{path: entry.oid for path, entry in repo.files(commit).items()}}
    line = repo.history(commit)
    for newer, older in zip(line, [*line[1:], None], strict=True):
        before: dict[str, str] = {}
        if older is not None:
            before = {**repo.tree_ids(older), **{path: entry.oid for path, entry in repo.files(older).items()}}
        for path, oid in wanted.items():
            if path not in found and before.get(path) != oid:
                found[path] = newer
    return found
