"""The operations of a commit; each changes the listing of files that will be committed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hf_soup.localhub.attributes import ATTRIBUTES_FILE, is_large_file, with_rule_for
from hf_soup.localhub.cardrules import check_card
from hf_soup.localhub.content import xet_file
from hf_soup.localhub.refusals import bad_request, entry_not_found
from hf_soup.localhub.repository import Files, Repository
from hf_soup.localhub.routing import field
from hf_soup.localhub.xet import XetStore

MAX_REGULAR = 10 << 20  # bytes
Value = dict[str, Any]


@dataclass
class Change:
    """A commit in the making: `files` starts as the listing of the parent, whose id is `parent`."""

    repo: Repository
    files: Files
    parent: str
    xet: XetStore | None


def add_file(change: Change, value: Value) -> None:
    """A small file comes within the commit."""
    path, content = _checked_path(change, value), field(value, "content", str)
    data = base64.b64decode(content) if value.get("encoding") == "base64" else content.encode()
    if len(data) > MAX_REGULAR:
        raise bad_request(f"Your push was rejected because it contains files larger than 10 MiB: {path}")
    if path == "README.md" and (errors := check_card(data.decode("utf-8", "replace"), change.repo.type).errors):
        listed = "\n".join(f"- Error: {error}" for error in errors)
        raise bad_request(f"Your push was rejected during YAML metadata verification:\n{listed}")
    change.files[path] = change.repo.add_file(data)


def add_large_file(change: Change, value: Value) -> None:
    """A large file was uploaded before; a path that `.gitattributes` does not cover gets a rule there."""
    repo, path, sha256 = change.repo, _checked_path(change, value), field(value, "oid", str)
    stored = repo.large.path(sha256)
    if stored.exists():
        size = stored.stat().st_size
    elif (file := xet_file(change.xet, sha256)) is not None:
        size = file.size
    else:
        raise bad_request(f"LFS pointer pointed to a file that does not exist: {path}")
    change.files[path] = repo.add_pointer(sha256, size)
    rules = repo.text(change.files[ATTRIBUTES_FILE]) if ATTRIBUTES_FILE in change.files else ""
    if not is_large_file(path, rules):
        change.files[ATTRIBUTES_FILE] = repo.add_file(with_rule_for(path, rules).encode())


def delete_file(change: Change, value: Value) -> None:
    path = field(value, "path", str)
    if change.files.pop(path, None) is None:
        raise entry_not_found(change.parent, f"A file with this name doesn't exist: {path}")


def delete_folder(change: Change, value: Value) -> None:
    folder = field(value, "path", str).rstrip("/")
    inside = [path for path in change.files if path.startswith(folder + "/")]
    if not inside:
        raise entry_not_found(change.parent, f"A folder with this name doesn't exist: {folder}")
    for path in inside:
        del change.files[path]


OPERATIONS: dict[str, Callable[[Change, Value], None]] = {
    "file": add_file,
    "lfsFile": add_large_file,
    "deletedFile": delete_file,
    "deletedFolder": delete_folder,
}


def _checked_path(change: Change, value: Value) -> str:
    """A path that git can keep: relative, no empty or dotted parts, no file where a folder is."""
    path = field(value, "path", str)
    parts = path.split("/")
    if any(part in ("", ".", "..", ".git") for part in parts) or "\\" in path or "\0" in path:
        raise bad_request(f"Invalid path in repo: {path}")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    if any(folder in change.files for folder in above) or any(known.startswith(path + "/") for known in change.files):
        raise bad_request(f"{path} would be both a file and a folder")
    return path
