"""Where a push is to go, and whether it may go there: asked before the work whose result is to be pushed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError
from hf_soup.publishing.destination import MAIN, Destination, look_at
from hf_soup.publishing.patience import patiently
from hf_soup.publishing.push_errors import push_errors, status_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_READING_ROLES = ("read", "no_access")


@dataclass(frozen=True)
class Target:
    """`private`: of a repository that is made now; an existing one stays what it is. `revision`: a branch, made if need be.
    `name_private`: private models will be named there, also in public.

    Raises InputError for a pull request to another branch than main.
    """

    repo_id: str
    private: bool = False
    create_pr: bool = False
    revision: str | None = None
    name_private: bool = False

    def __post_init__(self) -> None:
        if self.create_pr and self.revision not in (None, MAIN):
            raise InputError("A pull request goes to the main branch; leave out either --pr or --revision.")


def target_problems(target: Target, token: str | bool | None = None) -> list[str]:
    """Returns what would stop a push there, changing nothing: a wrong name or branch, a public repository, no permission.

    What a token may do is not always to be known: then nothing is said. Raises HubError when the Hub fails.
    """
    from huggingface_hub import HfApi

    if token is False:
        return [f"{target.repo_id}: publishing needs a token; log in with `hf auth login` or pass token=."]
    api = HfApi(token=token)
    try:
        with push_errors(target.repo_id, again="run the command again"):
            place = look_at(api, target.repo_id, target.revision, target.private)
            if place.exists and not target.create_pr:
                _ask_for_permission(api, place.repo_id)
                return []
            return _refusals(place, patiently(api.whoami))
    except InputError as error:
        return list(error.problems)


def _ask_for_permission(api: HfApi, repo_id: str) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        patiently(lambda: api.auth_check(repo_id, write=True))
    except HfHubHTTPError as error:
        if status_of(error) != 404:  # a mirror of the Hub need not know this question
            raise


def _refusals(place: Destination, me: dict[str, Any]) -> list[str]:
    """Why this user could not make the repository, or open a pull request with this token."""
    problems = []
    if ((me.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        problems.append(f"{place.repo_id}: this token may only read; log in with one that may write.")
    own = [me["name"], *(org["name"] for org in me.get("orgs", []) if org.get("roleInOrg") not in _READING_ROLES)]
    if not place.exists and place.repo_id.split("/")[0].lower() not in [name.lower() for name in own]:
        problems.append(
            f"{place.repo_id}: does not exist, or this token cannot see it, and {me['name']} can make repositories of "
            f"{', '.join(own)} only; check the spelling, or use another token."
        )
    return problems
