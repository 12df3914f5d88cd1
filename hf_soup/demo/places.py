"""The demo's folders, and the environment of a process that knows no other Hub than the one on loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.sizes import format_size

USER = "tester"  # of the loopback Hub
BASE_REPO = f"{USER}/words-base"
SOUP_REPO = f"{USER}/words-soup"
ADAPTER_REPO = f"{USER}/words-lora-soup"
MIXED_REPO = f"{USER}/words-mixed-soup"

# Five fine-tunes, their start and three soups of 91 MB each, all but one of them also in the Hub, and again in the client's
# cache; the adapters are small beside them.
_BYTES_NEEDED = 2_500_000_000

# What would send the client elsewhere or nowhere.
_NOT_FOR_THE_CHILD = (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
)


@dataclass(frozen=True)
class Places:
    """`folder` holds what a user may want to look at; `fine_tunes` is in the cache and outlives it."""

    folder: Path
    fine_tunes: Path

    @classmethod
    def choose(cls, folder: Path | None, environment: Mapping[str, str] = os.environ) -> Places:
        """`folder` or, without it, one in the cache of Hugging Face tools; absolute paths."""
        cache = hugging_face_home(environment) / "hf-soup" / "demo"
        return cls(folder=(folder or cache).expanduser().absolute(), fine_tunes=cache / "fine-tunes")

    @property
    def words(self) -> Path:
        return self.folder / "words"

    @property
    def hub(self) -> Path:
        """The loopback Hub's repositories."""
        return self.folder / "hub"

    @property
    def hub_cache(self) -> Path:
        """What the client downloads from the loopback Hub; kept out of the user's own cache."""
        return self.folder / "hub-cache"

    @property
    def uniform(self) -> Path:
        return self.folder / "uniform-soup"

    @property
    def greedy(self) -> Path:
        return self.folder / "greedy-soup"

    @property
    def exact_adapter(self) -> Path:
        return self.folder / "exact-adapter"

    @property
    def small_adapter(self) -> Path:
        return self.folder / "small-adapter"

    @property
    def mixed(self) -> Path:
        return self.folder / "mixed-soup"

    @property
    def outcome(self) -> Path:
        """What the story found, as JSON: how the process that told it answers the one that started it."""
        return self.folder / "demo.json"

    def prepare(self) -> None:
        """Make the folders. Raises InputError where that is not possible or the disk is too full for a first run."""
        for folder in (self.folder, self.fine_tunes):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"The demo cannot make the folder {folder} ({error.strerror}); give another folder."
                    if folder == self.folder
                    else f"The demo cannot make the folder {folder} ({error.strerror}); set HF_HOME to another place."
                ) from error
        free = shutil.disk_usage(self.folder).free
        if not self.hub_cache.is_dir() and free < _BYTES_NEEDED:
            raise InputError(
                f"The demo needs {format_size(_BYTES_NEEDED)} of disk, {self.folder} has {format_size(free)} left; "
                "make room or give another folder."
            )


def hugging_face_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where Hugging Face tools keep their caches, by huggingface_hub's own rule, without importing it.

    Importing it here would fix its idea of which Hub it talks to before there is one.
    """
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(cache, "huggingface")  # noqa: PTH118 - may hold $VARIABLES
    return Path(os.path.expandvars(home)).expanduser()


def client_environment(places: Places, hub: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a process whose Hub is `hub` (`LocalHub.environment()`); HF_HOME stays the user's."""
    kept = {name: value for name, value in environment.items() if name not in _NOT_FOR_THE_CHILD}
    # A proxy is no way to this machine; huggingface_hub's HTTP library would ask it all the same.
    direct = ",".join(
        filter(None, [environment.get("NO_PROXY") or environment.get("no_proxy"), "127.0.0.1,localhost"])
    )
    # Torch's threads wait for each other by spinning. Measured on two cores with another busy process: words take up to five
    # times as long as with threads that sleep; on an idle machine sleeping costs a third.
    kept.setdefault("OMP_WAIT_POLICY", "passive")
    return kept | {
        **hub,
        "HF_HUB_CACHE": str(places.hub_cache),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }
