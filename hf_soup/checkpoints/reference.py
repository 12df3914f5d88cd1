"""What a user writes to name a model, parsed; and the same thing pinned to one commit.

An adapter is named like a model and is read over the base that it names, or over the `base` of the whole soup. One that is to
be read over a base of its own is `ModelRef.parse("me/adapter", base="me/base")`. The one text for this pair, mergekit's
`me/base+me/adapter`, is understood in mergekit's files only: elsewhere a `+` belongs to names of tags (`v1.0+cu118`) and
folders (`lr1e-5+wd0.1/checkpoint-100`), and would have two meanings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from hf_soup.errors import InputError

_HUB_ID = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)?"
_REFERENCE = re.compile(rf"(?P<repo>{_HUB_ID})(?:@(?P<revision>[^:@]+))?(?::(?P<subfolder>.+))?")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ModelRef:
    """A reference as the user wrote it: a Hub repository (`repo_id`) or a local folder (`path`), never both.

    `base`: of an adapter, the model that it is to be read over, whatever it names itself.

    >>> ModelRef.parse("me/all@v1.0:runs/3")
    ModelRef(text='me/all@v1.0:runs/3', repo_id='me/all', revision='v1.0', subfolder='runs/3', path=None, base=None)
    """

    text: str
    repo_id: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    path: Path | None = None
    base: ModelRef | None = None

    def __str__(self) -> str:
        return self.text if self.base is None else f"{self.base}+{self.text}"

    @classmethod
    def parse(
        cls, text: str | Path | ModelRef, revision: str | None = None, base: str | Path | ModelRef | None = None
    ) -> ModelRef:
        """Parses `user/name`, `name@revision`, `name:subfolder`, `name:checkpoint-*` or a folder.

        A folder that exists wins over a Hub ID of the same spelling, as in transformers. `revision` stands for every
        Hub reference that names none. `base`: where the text names an adapter, the model to read it over. Raises InputError
        when the text is neither.
        """
        if base is not None:
            return replace(cls.parse(text, revision), base=cls.parse(base, revision))
        if isinstance(text, ModelRef):
            base = None if text.base is None else cls.parse(text.base, revision)
            return replace(text, revision=(text.revision or revision) if text.repo_id else None, base=base)
        if isinstance(text, Path):
            return _local(str(text))
        if not text.strip():
            raise InputError("A model reference is empty: give a Hub ID such as user/name, or a folder.")
        cut = text.rfind(":")
        if _looks_local(text) or Path(text).is_dir() or (cut > 1 and Path(text[:cut]).is_dir()):
            return _local(text)
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InputError(
                f"'{text}' is neither a folder that exists nor a Hub reference of the form user/name[@revision][:subfolder]."
            )
        subfolder = checked_subfolder(match["subfolder"], text)
        return cls(text, repo_id=match["repo"], revision=match["revision"] or revision, subfolder=subfolder)

    @property
    def is_glob(self) -> bool:
        return bool(self.subfolder and _GLOB.search(self.subfolder))


@dataclass(frozen=True)
class PinnedRef:
    """A reference that can only mean one thing: a commit SHA of a Hub repository, or a folder on this machine.

    `base`: as in ModelRef.
    """

    requested: str
    repo_id: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    path: Path | None = None
    base: PinnedRef | None = None

    @property
    def name(self) -> str:
        """What may be published: the Hub ID, or a local folder's last name; never a path of this machine."""
        if self.path is not None:
            return self.path.name
        return f"{self.repo_id}:{self.subfolder}" if self.subfolder else str(self.repo_id)

    @property
    def label(self) -> str:
        """How messages name it."""
        if self.path is not None:
            return str(self.path)
        return f"{self.repo_id}@{str(self.revision)[:7]}" + (f":{self.subfolder}" if self.subfolder else "")


def is_hub_id(text: str) -> bool:
    """Whether a text is formed like the name of a repository or a data set: `user/name`, or `name` alone.

    >>> is_hub_id("me/run_1"), is_hub_id("/home/me/run_1")
    (True, False)
    """
    return re.fullmatch(_HUB_ID, text) is not None


def checked_subfolder(subfolder: str | None, text: str) -> str | None:
    """Returns a subfolder without superfluous characters. Raises InputError for one that leads out of `text`, the repository."""
    if subfolder is None:
        return None
    parts = PurePosixPath(subfolder).parts
    if "\\" in subfolder or subfolder.startswith("/") or ".." in parts or not parts:
        raise InputError(f"The subfolder of '{text}' must be a path below the repository, such as runs/3.")
    return "/".join(parts)


def _looks_local(text: str) -> bool:
    return text.startswith((".", "/", "~", "\\")) or bool(_DRIVE.match(text))


def _local(text: str) -> ModelRef:
    whole = Path(text).expanduser()
    if whole.is_dir():
        return ModelRef(text, path=whole)
    cut = text.rfind(":")
    if cut > 1:  # index 1 is a drive letter's colon
        parent = Path(text[:cut]).expanduser()
        if parent.is_dir():
            return ModelRef(text, path=parent, subfolder=checked_subfolder(text[cut + 1 :], text))
    raise InputError(f"The folder '{text}' does not exist.")
