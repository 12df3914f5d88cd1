"""What must never leave this machine inside a published file: tokens, its user, its paths, names of private models."""

from __future__ import annotations

import getpass
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from hf_soup.publishing.kinds import RECORD_NAMES
from hf_soup.publishing.private_names import mentions

_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
_BINARY_SUFFIXES = {".safetensors", ".bin", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".model", ".spm", ".npz", ".pt"}
_OWN_FILES = ("README.md", *RECORD_NAMES)


def leaks(folder: Path, *, token: str | bool | None = None, private: frozenset[str] = frozenset()) -> list[str]:
    """Returns a sentence for each thing in the folder's text files that must not be published, [] when there is none.

    Looks for access tokens (this client's and any that looks like one), for the home folder and the user's name in
    paths, in README.md and the record also for the folder's own path, and for the Hub IDs in `private`.
    """
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _texts(folder)}
    return content_leaks(contents, folder, token=token, private=private)


def content_leaks(
    contents: Mapping[str, bytes],
    folder: Path,
    *,
    token: str | bool | None = None,
    private: frozenset[str] = frozenset(),
) -> list[str]:
    """The same for contents that are not, or not yet, in the folder; by path."""
    found = leaks_by_file(contents, folder, token=token, private=private)
    return [f"{name} of {folder.name}: holds {what}; take it out before you publish the file." for name, what in found]


def leaks_by_file(
    contents: Mapping[str, bytes],
    folder: Path,
    *,
    token: str | bool | None = None,
    private: frozenset[str] = frozenset(),
    own: Collection[str] = _OWN_FILES,
) -> list[tuple[str, str]]:
    """The same as pairs of a file and what it holds. `own`: the files that may not name the folder either."""
    secret = _token(token)
    return [
        (name, what)
        for name, content in sorted(contents.items())
        if not is_binary(name)
        for what in _found_in(name, content.decode("utf-8", "replace"), folder, secret, private, own)
    ]


def is_binary(name: str) -> bool:
    return Path(name).suffix.lower() in _BINARY_SUFFIXES


def _found_in(
    name: str, text: str, folder: Path, token: str | None, private: frozenset[str], own: Collection[str]
) -> Iterator[str]:
    # The token itself is not repeated in the message, which may end in a log.
    if (token and token in text) or _TOKEN.search(text):
        yield "an access token"
    for what, pattern in _personal_patterns():
        if match := pattern.search(text):
            yield f"{what} ('{match[0]}')"
            break  # the user's name is a part of most home folders
    if name in own:
        for place in dict.fromkeys((folder.absolute(), Path.cwd())):
            if len(place.parts) > 2 and re.search(re.escape(str(place)) + r"(?![\w.-])", text):
                yield f"a path of this machine ('{place}')"
    for one in mentions(text, private):
        yield f"the name of the private repository {one}"


def _personal_patterns() -> list[tuple[str, re.Pattern[str]]]:
    # Backslashes come doubled in JSON. Behind the home folder something must follow: "/root" is an entry of vocabularies.
    patterns = []
    if home := _home():
        parts = [re.escape(part) for part in re.split(r"[/\\]+", home) if part]
        start = r"(?<![\w.])" + r"[/\\]+" * (home[0] in "/\\")
        patterns.append(("the home folder of this machine", start + r"[/\\]+".join(parts) + r"[/\\]+[\w.-]+"))
    user = _user()
    if user and user != "root":
        patterns.append(
            ("the user of this machine in a path", rf"[/\\](?:home|Users)[/\\]+{re.escape(user)}(?![\w-])")
        )
    return [(what, re.compile(pattern, re.IGNORECASE)) for what, pattern in patterns]


def _texts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not is_binary(path.name):
            yield path


def _home() -> str | None:
    """The home folder, where there is one that tells something: some containers have "/", or none."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return str(home) if home.is_absolute() and len(home.parts) > 1 else None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return None


def _token(given: str | bool | None) -> str | None:
    from huggingface_hub import get_token

    return given if isinstance(given, str) else get_token()
