"""A repository on the Hub as the place of a push: what is there, and one commit that changes it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hf_soup.errors import InputError
from hf_soup.publishing.patience import patiently
from hf_soup.publishing.strays import strays, unchecked_weights

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

MAIN = "main"
RepoType = Literal["model", "dataset"]


@dataclass(frozen=True)
class Destination:
    """The branch that will be written. `head` and `files` are None and {} where it does not exist yet."""

    api: HfApi
    repo_id: str
    branch: str
    exists: bool
    private: bool
    head: str | None
    files: dict[str, str]
    """SHA-256 of large files and git blob id of small ones, by path."""
    repo_type: RepoType = "model"

    @property
    def address(self) -> str:
        """Of the repository's page."""
        return f"{self.api.endpoint}/{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo_id}"

    def holds(self, operation: CommitOperationAdd) -> bool:
        """Whether the file is there already, with the same content."""
        there = self.files.get(operation.path_in_repo)
        return there is not None and there in (operation.upload_info.sha256.hex(), git_blob_id(operation))


def look_at(
    api: HfApi, repo_id: str, revision: str | None, private: bool, repo_type: RepoType = "model"
) -> Destination:
    """Returns the state of the destination, changing nothing.

    Raises InputError when `revision` is no branch, or when a private push would go to a public repository.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    if "/" not in repo_id:
        repo_id = f"{patiently(api.whoami)['name']}/{repo_id}"
    branch = revision or MAIN
    try:
        info = patiently(lambda: api.repo_info(repo_id, repo_type=repo_type))
    except RepositoryNotFoundError:
        return Destination(api, repo_id, branch, False, private, None, {}, repo_type)
    if private and not info.private:
        raise InputError(
            f"{repo_id}: exists and is public, so nothing was pushed; make it private on its settings page, or push "
            "without --private."
        )
    return _as_it_stands(Destination(api, repo_id, branch, True, bool(info.private), None, {}, repo_type))


def prepare(place: Destination) -> Destination:
    """Makes the repository and the branch where they are missing; returns the destination as it is then."""
    api, repo_id = place.api, place.repo_id
    if not place.exists:
        patiently(lambda: api.create_repo(repo_id, private=place.private, repo_type=place.repo_type, exist_ok=True))
    if place.branch != MAIN and place.head is None:
        patiently(lambda: api.create_branch(repo_id, branch=place.branch, repo_type=place.repo_type, exist_ok=True))
    return place if place.head is not None else _as_it_stands(replace(place, exists=True))


def commit(
    place: Destination,
    contents: Mapping[str, bytes | Path],
    message: str,
    create_pr: bool,
    warn: Callable[[str], None],
    uploaded: Sequence[CommitOperationAdd] = (),
) -> str:
    """Uploads what is missing and makes one commit of it; returns the address of the commit or pull request.

    The commit has everything in it or does not happen: what was uploaded before an interruption is found again by its
    digest. In a repository of models, what an earlier one left and the new one does not replace is removed in the same commit: transformers prefers
    a single file over shards, adds an adapter that it finds to any model, and reads an added_tokens.json that lies there.
    `warn` gets the names of these files, and of those in other formats, which stay. `uploaded`: files that `send_ahead` has
    brought there, for the same commit.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api, repo_id = place.api, place.repo_id
    additions = [*uploaded, *(CommitOperationAdd(path, content) for path, content in sorted(contents.items()))]
    wanted = {operation.path_in_repo for operation in additions}
    missing = [operation for operation in additions if not place.holds(operation)]
    of_models = place.repo_type == "model"
    stale = strays(place.files, wanted) if of_models else []
    if not missing and not stale:
        return f"{place.address}/commit/{place.head}"
    if stale:
        warn(
            f"{repo_id}: {', '.join(stale)} may be loaded together with the new model and {'is' if len(stale) == 1 else 'are'} "
            "removed by this push; earlier commits still have what it removes."
        )
    if of_models and (kept := unchecked_weights(place.files, wanted)):
        warn(f"{repo_id}: {', '.join(kept)} may be of an earlier model; this push leaves what it does not replace.")

    def made_already() -> str | None:
        return (
            _pull_request_with(place, additions, stale, message)
            if create_pr
            else _commit_with(place, additions, stale)
        )

    if create_pr and (made := made_already()) is not None:
        return made
    patiently(lambda: _upload(place, missing, create_pr, free_memory=False))

    def send() -> str:
        made = api.create_commit(
            repo_id,
            [*missing, *(CommitOperationDelete(path) for path in stale)],
            commit_message=message,
            revision=place.branch,
            create_pr=create_pr,
            parent_commit=place.head,
            repo_type=place.repo_type,
        )
        return str(made.pr_url if create_pr else made.commit_url)

    return patiently(send, made_already)


def send_ahead(place: Destination, path_in_repo: str, file: Path, create_pr: bool) -> CommitOperationAdd:
    """Uploads a large file unless the Hub has its content; returns the operation by which a later `commit` names it.

    Until then nothing of it can be seen. The local file is not read again when the operation's `path_or_fileobj` is empty;
    it is not for a file that the Hub wants to keep in git, which travels in the commit itself.
    """
    from huggingface_hub import CommitOperationAdd

    operation = CommitOperationAdd(path_in_repo, file)
    patiently(lambda: _upload(place, [operation], create_pr, free_memory=True))
    return operation


def _upload(place: Destination, missing: Sequence[CommitOperationAdd], create_pr: bool, *, free_memory: bool) -> None:
    """Sends the large files among them that the Hub does not have yet."""
    try:
        place.api.preupload_lfs_files(
            place.repo_id,
            missing,
            revision=place.branch,
            create_pr=create_pr,
            repo_type=place.repo_type,
            gitignore_content="",  # one in the repository would silently leave out files of the model
            free_memory=free_memory,
        )
    except RuntimeError as error:
        if error.__cause__ is not None:  # huggingface_hub wraps what happened during the upload of a file
            raise error.__cause__ from None
        raise


def git_blob_id(operation: CommitOperationAdd) -> str | None:
    """Returns the id that git gives to the content; None for what is too large to be kept in git."""
    if operation.upload_info.size > 20 << 20:
        return None
    with operation.as_file() as file:
        content = file.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _as_it_stands(place: Destination) -> Destination:
    """With the head of its branch and the files there, asked for now."""
    head = _head(place)
    return replace(place, head=head, files=_files(place, head) if head else {})


def _head(place: Destination) -> str | None:
    api, repo_id, branch = place.api, place.repo_id, place.branch
    with_requests = branch.startswith("refs/pr/")
    refs = patiently(
        lambda: api.list_repo_refs(repo_id, repo_type=place.repo_type, include_pull_requests=with_requests)
    )
    for ref in [*refs.branches, *(refs.pull_requests or [])]:
        if branch in (ref.name, ref.ref):
            return str(ref.target_commit)
    if branch.startswith("refs/") or branch in {tag.name for tag in refs.tags} or re.fullmatch("[0-9a-f]{40}", branch):
        raise InputError(
            f"{repo_id}: '{branch}' is not a branch; a push can add to branches and open pull requests only."
        )
    return None


def _files(place: Destination, revision: str) -> dict[str, str]:
    from huggingface_hub.hf_api import RepoFile

    tree = patiently(
        lambda: list(
            place.api.list_repo_tree(place.repo_id, recursive=True, revision=revision, repo_type=place.repo_type)
        )
    )
    return {one.path: one.lfs.sha256 if one.lfs else one.blob_id for one in tree if isinstance(one, RepoFile)}


def _commit_with(place: Destination, additions: Sequence[CommitOperationAdd], stale: Sequence[str]) -> str | None:
    """The address of the branch's head, if it has become what was to be committed."""
    head = _head(place)
    if head is None or not _has(place, head, additions, stale):
        return None
    return f"{place.address}/commit/{head}"


def _pull_request_with(
    place: Destination, additions: Sequence[CommitOperationAdd], stale: Sequence[str], title: str
) -> str | None:
    """The address of an open pull request that holds what was to be committed: the same push, made before."""
    found = patiently(
        lambda: list(
            place.api.get_repo_discussions(
                place.repo_id,
                discussion_type="pull_request",
                discussion_status="open",
                repo_type=place.repo_type,
            )
        )
    )
    for discussion in found:
        if discussion.title == title and _has(place, f"refs/pr/{discussion.num}", additions, stale):
            return f"{place.address}/discussions/{discussion.num}"
    return None


def _has(place: Destination, revision: str, additions: Sequence[CommitOperationAdd], stale: Sequence[str]) -> bool:
    there = replace(place, branch=revision, head=revision, files=_files(place, revision))
    return all(there.holds(operation) for operation in additions) and not set(stale) & set(there.files)
