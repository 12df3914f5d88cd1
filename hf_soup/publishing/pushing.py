"""Publishing a result: every check first, then the uploads, then one commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.errors import InputError
from hf_soup.merging.record import IngredientRecord
from hf_soup.progress import say
from hf_soup.publishing.destination import Destination, commit, look_at, prepare
from hf_soup.publishing.ingredient_cards import load_cards
from hf_soup.publishing.kinds import open_publishable
from hf_soup.publishing.patience import patiently
from hf_soup.publishing.publication import Publication, prepare_publication
from hf_soup.publishing.push_errors import push_errors
from hf_soup.publishing.target import Target

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

Warn = Callable[[str], None]


class Visibility(Enum):
    PUBLIC = "public"
    PRIVATE = "private"
    UNSEEN = "unseen"


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    create_pr: bool = False,
    revision: str | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    name_private: bool = False,
    license: str | None = None,
    publish_private_weights: bool = False,
    cache_dir: str | Path | None = None,
    warn: Warn = say,
) -> str:
    """Publishes the folder of a merge, an adapter or an ensemble as one commit (or pull request) and returns its address.

    `private`: of a repository that is made now; an existing one stays what it is. `revision`: a branch, made if need be.
    `name_private`: name private ingredients in a public repository; without it digests stand in their place, in the card
    and in the record. `publish_private_weights`: put copies of private models' weights, which an ensemble may bundle, into a
    public repository, which is refused without it, as is what was trained from them. `license`: the Hub's identifier, where the ingredients' differ or none states one. `warn` gets what
    the publisher should know and what stops nothing.

    The folder stays as it is; its card is rendered for the destination unless somebody edited it. Interrupted, the same
    call goes on: content that has arrived is not sent again, and until the commit nothing of it can be seen.
    Raises InputError, before anything is sent, for licences that differ, for tokens, paths or private names in a file,
    for weights that are not those that were made, for private weights that would become public; HubError when the Hub fails.
    """
    target = Target(repo_id, private, create_pr, revision)
    prepared = prepare_push(
        Path(folder),
        target,
        name_private=name_private,
        license=license,
        publish_private_weights=publish_private_weights,
        token=token,
        cache_dir=cache_dir,
        warn=warn,
    )
    return prepared.send(commit_message=commit_message, warn=warn)


@dataclass(frozen=True)
class PreparedPush:
    """A push that was checked and of which nothing is sent yet."""

    target: Target
    place: Destination
    publication: Publication
    message: str

    def send(
        self,
        *,
        uploaded: Sequence[CommitOperationAdd] = (),
        commit_message: str | None = None,
        warn: Warn = say,
    ) -> str:
        """Uploads and commits; returns the address of the commit or pull request. `uploaded`: what was sent before."""
        with push_errors(self.place.repo_id):
            return commit(
                prepare(self.place),
                self.publication.contents,
                commit_message or self.message,
                self.target.create_pr,
                warn,
                uploaded,
            )


def prepare_push(
    folder: Path,
    target: Target,
    *,
    uploaded: Collection[str] = (),
    name_private: bool = False,
    license: str | None = None,
    publish_private_weights: bool = False,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    warn: Warn = say,
) -> PreparedPush:
    """Makes every check of a push and renders what it will send.

    `uploaded`: weight files that need not be in the folder, for the Hub has them or will have got them; what the record
    says of them is published as it is. The rest as in `push`, which raises what this raises.
    """
    from huggingface_hub import HfApi

    made = open_publishable(folder)
    api = HfApi(token=token)
    with push_errors(target.repo_id):
        place = look_at(api, target.repo_id, target.revision, target.private)
    visibility = _visibility(api, made.repositories())
    hidden = frozenset(repo_id for repo_id, seen in visibility.items() if seen is not Visibility.PUBLIC)
    if not place.private and not publish_private_weights and (copies := sorted(hidden & set(made.copies()))):
        ways = ["push with --private", made.without_copies(), "or say --publish-private-weights"]
        raise InputError(
            f"{place.repo_id}: would make {made.copied()} {', '.join(copies)} public, which {'is' if len(copies) == 1 else 'are'} private, "
            f"or not to be seen with this token: {', '.join(way for way in ways if way)} (publish_private_weights=True)."
        )
    must_hide = hidden if not name_private and not place.private else frozenset()
    if must_hide:
        warn(
            f"{', '.join(sorted(must_hide))}: private, or not to be seen with this token; the public card and {made.record_name} "
            "give their digests instead of their names (--name-private names them)."
        )
    readable = [_unless_unseen(one, visibility) for one in made.licensors()]
    cards = load_cards(readable, token=token, cache_dir=cache_dir)
    publication = prepare_publication(
        made, cards, place.repo_id, licence=license, private=must_hide, token=token, uploaded=uploaded
    )
    for warning in publication.warnings:
        warn(warning)
    return PreparedPush(target, place, publication, made.message)


def _visibility(api: HfApi, repo_ids: Sequence[str]) -> dict[str, Visibility]:
    """One that this token cannot see may be deleted, or private and somebody else's."""
    from huggingface_hub.errors import RepositoryNotFoundError

    def look(repo_id: str) -> Visibility:
        with push_errors(repo_id):
            try:
                info = patiently(lambda: api.model_info(repo_id))
            except RepositoryNotFoundError:
                return Visibility.UNSEEN
        return Visibility.PRIVATE if info.private else Visibility.PUBLIC

    return {repo_id: look(repo_id) for repo_id in repo_ids}


def _unless_unseen(ingredient: IngredientRecord, visibility: dict[str, Visibility]) -> IngredientRecord:
    """What cannot be seen has no card that could be read; it counts as one that states nothing."""
    if ingredient.repo_id is None or visibility[ingredient.repo_id] is not Visibility.UNSEEN:
        return ingredient
    return ingredient.model_copy(update={"repo_id": None, "revision": None, "subfolder": None})
