"""The error answers of the Hub: status, message and the code that clients turn into an exception."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer other than success. `code` becomes X-Error-Code, `message` X-Error-Message and the JSON body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}
        self.body = body if body is not None else {"error": message}


def not_logged_in() -> Refusal:
    return Refusal(401, "Invalid username or password.")


def bad_token() -> Refusal:
    """The one 401 that huggingface_hub does not read as 'repository not found'."""
    return Refusal(401, "Invalid credentials in Authorization header")


def forbidden(message: str) -> Refusal:
    return Refusal(403, message)


def repo_not_found(logged_in: bool) -> Refusal:
    """A missing repository and a private one of somebody else look the same: 404 with a token, 401 without."""
    if logged_in:
        return Refusal(404, "Repository not found", code="RepoNotFound")
    return Refusal(401, "Invalid username or password.", code="RepoNotFound")


def gated(repo_type: str, repo_id: str, logged_in: bool) -> Refusal:
    start = f"Access to {repo_type} {repo_id} is restricted"
    if logged_in:
        return Refusal(403, f"{start} and you are not in the authorized list.", code="GatedRepo")
    return Refusal(
        401, f"{start}. You must have access to it and be authenticated to access it. Please log in.", code="GatedRepo"
    )


def revision_not_found(revision: str) -> Refusal:
    return Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(commit: str, message: str = "Entry not found") -> Refusal:
    """Clients remember the absence of a file under the commit that this header names."""
    return Refusal(404, message, code="EntryNotFound", headers={"X-Repo-Commit": commit})


def bad_request(message: str) -> Refusal:
    return Refusal(400, message)
