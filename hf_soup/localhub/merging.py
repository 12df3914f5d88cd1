"""Bringing a pull request into its branch: a three-way merge, file by file."""

from __future__ import annotations

from hf_soup.localhub.discussions import Discussion
from hf_soup.localhub.gitobjects import Commit
from hf_soup.localhub.refusals import Refusal
from hf_soup.localhub.repository import Files, Repository


def conflicts(repo: Repository, request: Discussion) -> list[str]:
    """Paths that both the branch and the pull request have changed, differently."""
    return _merge(repo, request)[1]


def merge(repo: Repository, request: Discussion, author: str) -> Commit:
    """One commit on the branch with the changes of the pull request, titled as on the Hub: `Title (#3)`."""
    assert request.base is not None
    files, clashes = _merge(repo, request)
    if clashes:
        raise Refusal(409, f"This pull request has conflicts: {', '.join(clashes)}")
    own = _own_commits(repo, request)
    listed = "\n".join(f"- {commit.title} ({commit.oid})" for commit in reversed(own))
    return repo.commit(request.base, files, author=author, message=f"{request.title} (#{request.num})\n\n{listed}")


def _merge(repo: Repository, request: Discussion) -> tuple[Files, list[str]]:
    assert request.base is not None
    ours = repo.files(repo.resolve(request.base))
    theirs = repo.files(repo.resolve(request.ref))
    own = _own_commits(repo, request)
    start = repo.commit_of(own[-1].parents[0]) if own else repo.resolve(request.ref)
    before = repo.files(start)
    merged, clashes = dict(ours), []
    for path in {*before, *theirs}:
        wanted = theirs.get(path)
        if wanted == before.get(path) or wanted == ours.get(path):
            continue
        if ours.get(path) != before.get(path):
            clashes.append(path)
        elif wanted is None:
            del merged[path]
        else:
            merged[path] = wanted
    return dict(sorted(merged.items())), sorted(clashes)


def _own_commits(repo: Repository, request: Discussion) -> list[Commit]:
    """Commits of the pull request that the branch does not have, newest first."""
    assert request.base is not None
    known = {commit.oid for commit in repo.history(repo.resolve(request.base))}
    own = []
    for commit in repo.history(repo.resolve(request.ref)):
        if commit.oid in known:
            break
        own.append(commit)
    return own
