"""What a merge gives back: a folder on this disk, or a commit on the Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.merging.record import SoupRecord
from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_soup.selection import Evidence


@dataclass(frozen=True)
class MergedModel:
    """A finished merge in a local folder, with everything that is known of how it came about."""

    path: Path
    recipe: SoupRecord
    report: Evidence | None = None
    warnings: tuple[str, ...] = ()
    token: str | bool | None = field(default=None, repr=False)

    def load(self, **kwargs: Any) -> PreTrainedModel:
        """Returns the transformers model of the class that config.json names; `kwargs` go to `from_pretrained`."""
        from hf_soup.loading import load_model

        return load_model(self.path, **kwargs)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        create_pr: bool = False,
        revision: str | None = None,
        license: str | None = None,
        name_private: bool = False,
        token: str | bool | None = None,
    ) -> str:
        """Publishes the folder and returns the URL of the commit or pull request. See `hf_soup.publishing.push`."""
        from hf_soup.publishing import push

        return on_main_process(
            lambda: push(
                self.path,
                repo_id,
                private=private,
                create_pr=create_pr,
                revision=revision,
                license=license,
                name_private=name_private,
                token=self.token if token is None else token,
            )
        )


@dataclass(frozen=True)
class PushedModel:
    """A merge that went straight to the Hub. `url`: of the commit or pull request."""

    url: str
    recipe: SoupRecord
    warnings: tuple[str, ...] = ()
