"""What a merge gives back: a folder on this disk, or a commit on the Hub."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.merging.record import SoupRecord
from hf_soup.publishing.pushable import Pushable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_soup.selection import Evidence


@dataclass(frozen=True)
class MergedModel(Pushable):
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


@dataclass(frozen=True)
class PushedModel:
    """A merge that went straight to the Hub. `url`: of the commit or pull request."""

    url: str
    recipe: SoupRecord
    warnings: tuple[str, ...] = ()
