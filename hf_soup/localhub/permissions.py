"""Who may see, read and write what; each function returns or raises the Hub's answer."""

from __future__ import annotations

from hf_soup.localhub import refusals
from hf_soup.localhub.accounts import User
from hf_soup.localhub.repository import Repository


def is_member(user: User | None, repo: Repository) -> bool:
    return user is not None and repo.namespace in user.namespaces


def require_user(user: User | None) -> User:
    if user is None:
        raise refusals.not_logged_in()
    return user


def require_write_token(user: User | None) -> User:
    user = require_user(user)
    if user.role != "write":
        raise refusals.forbidden("Forbidden: you must use a write token to upload to a repository.")
    return user


def require_visible(user: User | None, repo: Repository | None) -> Repository:
    """A private repository does not exist for anybody but its members."""
    if repo is None or (repo.settings.private and not is_member(user, repo)):
        raise refusals.repo_not_found(logged_in=user is not None)
    return repo


def require_content(user: User | None, repo: Repository) -> None:
    """The files of a gated repository are for members and accepted users; its description is for all."""
    if not repo.settings.gated or is_member(user, repo):
        return
    if user is None or repo.settings.access.get(user.name) != "accepted":
        raise refusals.gated(repo.type, repo.id, logged_in=user is not None)


def require_member(user: User | None, repo: Repository) -> User:
    user = require_write_token(user)
    if not is_member(user, repo):
        raise refusals.forbidden(f"You don't have the required permissions to change {repo.type} {repo.id}")
    return user


def require_commit(user: User | None, repo: Repository, *, as_pull_request: bool) -> User:
    """Everybody with a write token may open a pull request on what they can see."""
    user = require_write_token(user)
    if not as_pull_request and not is_member(user, repo):
        raise refusals.forbidden("Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
    return user
