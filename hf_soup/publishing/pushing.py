"""Publishing a merge: every check first, then the uploads, then one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.errors import InputError
from hf_soup.merging.record import IngredientRecord, SoupRecord
from hf_soup.progress import say
from hf_soup.publishing.destination import MAIN, commit, look_at, prepare
from hf_soup.publishing.ingredient_cards import load_cards
from hf_soup.publishing.patience import patiently
from hf_soup.publishing.private_names import named_repositories
from hf_soup.publishing.publication import prepare_publication, read_merge
from hf_soup.publishing.push_errors import push_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_MESSAGE = "Upload a model soup made with hf-soup"


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
    cache_dir: str | Path | None = None,
    warn: Callable[[str], None] = say,
) -> str:
    """Publishes a merge's folder as one commit (or pull request) and returns its address.

    `private`: of a repository that is made now; an existing one stays what it is. `revision`: a branch, made if need be.
    `name_private`: name private ingredients in a public repository; without it digests stand in their place, in the card
    and in soup.json. `license`: the Hub's identifier, where the ingredients' differ or none states one. `warn` gets what
    the publisher should know and what stops nothing.

    The folder stays as it is; its card is rendered for the destination unless somebody edited it. Interrupted, the same
    call goes on: content that has arrived is not sent again, and until the commit nothing of it can be seen.
    Raises InputError, before anything is sent, for licences that differ, for tokens, paths or private names in a file,
    for weights that are not the merged ones; HubError when the Hub fails.
    """
    from huggingface_hub import HfApi

    folder = Path(folder)
    if create_pr and revision not in (None, MAIN):
        raise InputError("A pull request goes to the main branch; leave out either --pr or --revision.")
    record = read_merge(folder)
    api = HfApi(token=token)
    with push_errors(repo_id):
        place = look_at(api, repo_id, revision, private)
    visibility = _visibility(api, named_repositories(record))
    hidden = frozenset(repo_id for repo_id, seen in visibility.items() if seen is not Visibility.PUBLIC)
    must_hide = hidden if not name_private and not place.private else frozenset()
    if must_hide:
        warn(
            f"{', '.join(sorted(must_hide))}: private, or not to be seen with this token; the public card and soup.json "
            "give their digests instead of their names (--name-private names them)."
        )
    readable = [_unless_unseen(one, visibility) for one in _licensors(record)]
    cards = load_cards(readable, token=token, cache_dir=cache_dir)
    publication = prepare_publication(
        folder, record, cards, place.repo_id, licence=license, private=must_hide, token=token
    )
    for warning in publication.warnings:
        warn(warning)
    with push_errors(place.repo_id):
        return commit(prepare(place), publication.contents, commit_message or _MESSAGE, create_pr, warn)


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


def _licensors(record: SoupRecord) -> list[IngredientRecord]:
    """Whose weights are in the result: the ingredients, and a base that the method computes with."""
    from hf_soup.methods import method_named

    with_base = record.base is not None and method_named(record.method).needs_base
    return [*record.ingredients, *([record.base] if record.base is not None and with_base else [])]


def _unless_unseen(ingredient: IngredientRecord, visibility: dict[str, Visibility]) -> IngredientRecord:
    """What cannot be seen has no card that could be read; it counts as one that states nothing."""
    if ingredient.repo_id is None or visibility[ingredient.repo_id] is not Visibility.UNSEEN:
        return ingredient
    return ingredient.model_copy(update={"repo_id": None, "revision": None, "subfolder": None})
