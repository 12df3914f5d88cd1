"""Commits: newline-delimited JSON, a header and then one operation a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.discussions import Discussions
from hf_soup.localhub.operations import OPERATIONS, Change
from hf_soup.localhub.permissions import require_commit
from hf_soup.localhub.refusals import Refusal, bad_request
from hf_soup.localhub.routing import Call, field, hub_routes, repo_url


@hub_routes.add("POST", "/api/{type}/{repo}/commit/{rev}", body="file")
def commit(call: Call) -> Response:
    """One commit on a branch or, with `create_pr`, on a new pull request. A commit that changes nothing is made too."""
    repo = call.repo()
    revision = call.values["rev"]
    create_pr = call.flag("create_pr")
    user = require_commit(call.user, repo, as_pull_request=create_pr or revision.startswith("refs/pr/"))
    assert call.upload is not None
    lines = _lines(call.upload.path)
    key, header = next(lines, ("", {}))
    if key != "header":
        raise bad_request("The first line of a commit must be its header")
    summary, description = field(header, "summary", str), header.get("description") or ""
    with repo.lock:
        head = repo.resolve(revision)
        ref = repo.branch(revision)
        if ref is None:
            raise bad_request(f"{revision} is not a branch: commits go to branches only")
        parent = header.get("parentCommit")
        if parent and not head.oid.startswith(parent):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        change = Change(repo, dict(repo.files(head)), head.oid, call.hub.xet)
        for key, value in lines:
            if key not in OPERATIONS:
                raise bad_request(f"Unknown operation: {key}")
            OPERATIONS[key](change, value)
        answer: dict[str, Any] = {"success": True}
        discussions = Discussions(repo)
        if create_pr:
            request = discussions.open(summary, description, user.name, base=ref, status="open")
            ref = request.ref
            answer["pullRequestUrl"] = f"{repo_url(call.hub, repo)}/discussions/{request.num}"
        message = f"{summary}\n\n{description}" if description else summary
        made = repo.commit(ref, change.files, author=user.name, message=message, parents=(head.oid,))
        if ref.startswith("refs/pr/"):
            discussions.add_commit(int(ref.removeprefix("refs/pr/")), made, user.name)
    answer |= {"commitOid": made.oid, "commitUrl": f"{repo_url(call.hub, repo)}/commit/{made.oid}", "hookOutput": ""}
    return JSONResponse(answer)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and value of each line; a line is at most a small file in base64, so one at a time fits in memory."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except ValueError:
                raise bad_request(f"Line {number} of the commit is not JSON") from None
            yield field(item, "key", str), field(item, "value", dict)
