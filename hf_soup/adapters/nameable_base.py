"""Whether adapter_config.json may name its base in public: without the name nobody could load the adapter."""

from __future__ import annotations

from hf_soup.adapters.common_base import CommonBase, is_local
from hf_soup.adapters.record import BaseName
from hf_soup.checkpoints.lora_config import ADAPTER_CONFIG
from hf_soup.checkpoints.reference import is_hub_id
from hf_soup.publishing import Target


def is_on_hub(base: BaseName) -> bool:
    """Whether the base is named as a repository."""
    return base.name is not None and not is_local(base) and is_hub_id(base.name)


def base_name_problems(base: BaseName, private: frozenset[str], place: str = "the result") -> list[str]:
    """Returns why an adapter with this base cannot be published. `private`: Hub IDs that must not be named. `place`: for messages."""
    where = f"{ADAPTER_CONFIG} of {place}"
    if base.name is None:
        return [f"{where}: names no base model, so nobody could load it; make the adapter with --base MODEL."]
    if not is_on_hub(base):
        return [
            f"{where}: names the base by a folder of this machine ({base.name}); make the adapter with --base and a Hub ID."
        ]
    if base.name in private:
        return [
            f"{where}: names the base {base.name}, which is private or not to be seen with this token, and cannot be loaded without "
            "it; push to a private repository (--private), or name it in public with --name-private."
        ]
    return []


def base_problems(base: CommonBase, publish: bool | str | Target, token: str | bool | None) -> list[str]:
    """Returns why the result could not be published for its base, asked before the work: the Hub is asked about a base on it.

    With `publish=True` the destination is not known, and a base that must stay unnamed there is no problem yet.
    """
    if not publish:
        return []
    if problems := base_name_problems(base.name, frozenset()):
        return problems
    if not isinstance(publish, bool):
        target = Target(publish) if isinstance(publish, str) else publish
        hidden = frozenset() if target.name_private or _is_private(target, token) else _hidden(base.name, token)
        if problems := base_name_problems(base.name, hidden):
            return problems
    if base.folder is None:
        name = f"{base.name.name} at {base.name.revision}" if base.name.revision else str(base.name.name)
        return [f"{ADAPTER_CONFIG} of the result: would name the base {name}, which cannot be read. {base.unknown}"]
    return []


def _is_private(target: Target, token: str | bool | None) -> bool:
    """Whether it is made private, or is a private repository already."""
    return target.private or _visible(target.repo_id, token) is False


def _hidden(base: BaseName, token: str | bool | None) -> frozenset[str]:
    return frozenset() if base.name is None or _visible(base.name, token) else frozenset({base.name})


def _visible(repo_id: str, token: str | bool | None) -> bool | None:
    """Whether everybody sees a repository; None where this token does not."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    from hf_soup.publishing.patience import patiently
    from hf_soup.publishing.push_errors import push_errors

    with push_errors(repo_id, again="run the command again"):
        try:
            return not patiently(lambda: HfApi(token=token).model_info(repo_id)).private
        except RepositoryNotFoundError:
            return None
