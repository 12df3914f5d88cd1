"""A folder that carries its final name only when it is complete, and until then can be gone on with."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hf_soup.errors import InputError, NonFiniteWeights, SoupError
from hf_soup.merging.record import RECORD_NAME
from hf_soup.progress import say

_RECORDS = (RECORD_NAME, "hf_soup_ensemble.json")
_MARK = ".unfinished-merge"
"""Holds the identity of the plan, by which the same plan is known again."""
_DRAFT = f"{_MARK}.draft"
_LOCK = ".lock"
JOURNALS = ".journal-"
FAILED = ".failed"
"""Made by a process that fails, so that the others stop."""

Identity = dict[str, Any]
"""What the bytes of a result depend on, by the names that users know; two plans with equal identities write the same."""


def output_problems(out: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> list[str]:
    """Returns every reason why a result could not be put there; checked before any work.

    `inputs`: local files and folders that the work reads, which the output must neither be, hold, nor lie in. Only the
    result of an earlier run (a folder with its record) may be replaced, and only with `overwrite`.
    """
    problems = []
    target = out.expanduser().resolve()
    for path in inputs:
        place = path.resolve()
        if target == place or target in place.parents or (place.is_dir() and place in target.parents):
            problems.append(f"The output '{out}' and the input '{path}' lie in each other; name another folder.")
    if target.exists() and not target.is_dir():
        problems.append(f"The output '{out}' exists and is a file; name a folder.")
    elif target.is_dir() and any(target.iterdir()):
        if target in (Path.cwd(), Path.home(), *Path.cwd().parents):
            problems.append(f"The output '{out}' is the folder you are in, your home, or above it; name another one.")
        elif not overwrite:
            problems.append(f"The output folder '{out}' exists; name another one or pass --overwrite.")
        elif not any((target / name).is_file() for name in _RECORDS):
            problems.append(
                f"The output folder '{out}' holds no {RECORD_NAME}, so it is not the result of a merge; --overwrite does "
                "not replace it. Remove it yourself or name another one."
            )
    parent = existing_parent(target)
    if parent is None or not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        problems.append(
            f"The output folder '{out}' cannot be made: '{parent or target.anchor}' is not a writable folder."
        )
    partial = partial_path(target)
    if partial.exists() and not (partial / _MARK).exists() and not _is_barely_begun(partial):
        problems.append(f"'{partial}' is in the way and was not made by a merge; move it or name another output.")
    return problems


def _is_barely_begun(partial: Path) -> bool:
    """Whether a run was killed before it could say of which plan the folder is."""
    return partial.is_dir() and {path.name for path in partial.iterdir()} <= {_LOCK, _DRAFT}


def case_problems(out: Path, names: Sequence[str]) -> list[str]:
    """Returns a sentence for files of the result that would overwrite each other where upper and lower case are the same."""
    by_folded: dict[str, list[str]] = {}
    for name in names:
        by_folded.setdefault(name.casefold(), []).append(name)
    clashes = [" and ".join(f"'{name}'" for name in group) for group in by_folded.values() if len(group) > 1]
    if not clashes or not _ignores_case(existing_parent(out.expanduser().resolve())):
        return []
    return [
        f"The file system of '{out}' does not tell upper from lower case, and the result has {clash}; choose an output folder "
        "on another one."
        for clash in clashes
    ]


def _ignores_case(folder: Path | None) -> bool:
    """Whether a new file is found there under its name in other case."""
    if folder is None or not os.access(folder, os.W_OK | os.X_OK):
        return False
    with tempfile.NamedTemporaryFile(prefix=".hf-soup-case-", dir=folder) as file:
        path = Path(file.name)
        return path.with_name(path.name.upper()).exists()


def existing_parent(path: Path) -> Path | None:
    """Returns the nearest folder above that exists; None where not even the drive does."""
    return next((parent for parent in path.absolute().parents if parent.exists()), None)


def partial_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


@contextmanager
def partial_folder(
    out: Path, identity: Identity, *, overwrite: bool = False, fresh: bool = False
) -> Iterator[tuple[Path, bool]]:
    """Gives `OUT.partial` to write into, and whether an earlier run of the same plan has begun it.

    Renames it to `out` when the block ends well; an earlier result is put aside first and deleted only when the new one
    stands. When the block fails with something done, the folder stays, so that the same command goes on; after an error that
    would come again (wrong input, NaN) it is removed. Raises InputError when another process is at work there, and when what lies there is
    of another plan, unless `fresh` discards it.
    """
    target = out.expanduser().resolve()
    _bring_back(target)
    if problems := output_problems(out, overwrite):
        raise InputError(problems)
    partial = partial_path(target)
    lock = FileLock(partial / _LOCK)
    try:
        begun = _enter(partial, lock, out, identity, fresh)
    except OSError as error:
        raise InputError(f"The output folder '{out}' cannot be made: {error}.") from error
    try:
        yield partial, begun
        _sync(partial)
        if os.name == "nt":  # a folder with an open file in it cannot be renamed there
            lock.release()
        _put_in_place(partial, target)
    except BaseException as error:
        kept = _has_begun(partial) and not isinstance(error, NonFiniteWeights)
        if not kept:
            shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            fate = (
                f"what was done is kept in '{partial.name}', and the same command goes on"
                if kept
                else "nothing is kept"
            )
            raise SoupError(f"Writing '{out}' failed ({error}); {fate}.") from error
        raise
    finally:
        lock.release()


def _enter(partial: Path, lock: FileLock, out: Path, identity: Identity, fresh: bool) -> bool:
    """Takes the lock and sees to it that the folder is of this plan; returns whether it was begun before."""
    partial.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another process is merging into '{out}'; wait for it, or name another output folder."
        ) from None
    try:
        begun = (partial / _MARK).is_file()
        if begun and not fresh and (reasons := _differences(partial, identity)):
            raise InputError(
                f"'{partial}' holds an unfinished merge of another plan ({'; '.join(reasons)}); pass --fresh to discard it, or "
                "name another output folder."
            )
        if fresh or not begun:
            _clear(partial)
            _write_durably(partial / _MARK, json.dumps(identity, sort_keys=True).encode())
            begun = False
    except BaseException:
        lock.release()
        raise
    return begun


def _has_begun(partial: Path) -> bool:
    """Whether any portion is finished that a later run need not compute again."""
    return any(journal.stat().st_size for journal in partial.glob(f"{JOURNALS}*"))


def _differences(partial: Path, identity: Identity) -> list[str]:
    try:
        found = json.loads((partial / _MARK).read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return ["it does not say which"]
    wanted = json.loads(json.dumps(identity))
    return [f"other {name}" for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]


def _clear(folder: Path) -> None:
    """Journals first and the mark last, so that a kill in between leaves no journal of files that are gone."""
    rank = {_MARK: 2}
    for path in sorted(folder.iterdir(), key=lambda p: 0 if p.name.startswith(JOURNALS) else rank.get(p.name, 1)):
        if path.name == _LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write_durably(path: Path, content: bytes) -> None:
    """Whole or not at all, also after a power cut."""
    draft = path.with_name(_DRAFT)
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _put_in_place(partial: Path, target: Path) -> None:
    aside = None
    if target.exists():
        aside = Path(tempfile.mkdtemp(prefix=_aside(target), dir=target.parent))
        target.rename(aside / target.name)
    try:
        partial.rename(target)
    except BaseException:
        if aside is not None:
            (aside / target.name).rename(target)
            aside.rmdir()
        raise
    _sync_folder(target.parent)
    for path in (target / _MARK, target / _LOCK, target / FAILED, *target.glob(f"{JOURNALS}*")):
        path.unlink(missing_ok=True)
    if aside is not None:
        try:
            shutil.rmtree(aside)
        except BaseException as error:
            say(f"'{target}' is complete. What it replaced could not be removed ({error}); it is in '{aside}'.")
            if not isinstance(error, OSError):
                raise


def _aside(target: Path) -> str:
    return f".{target.name}.replaced-"


def _bring_back(target: Path) -> None:
    """A kill between two renames leaves an earlier result put aside; it gets its name back, or its place is told."""
    for aside in target.parent.glob(f"{_aside(target)}*"):
        earlier = aside / target.name
        if not target.exists() and earlier.is_dir():
            earlier.rename(target)
            aside.rmdir()
        else:
            say(f"'{aside}' is what is left of a result that was replaced before; remove it when you like.")


def _sync(folder: Path) -> None:
    """Everything reaches the disk before the final name does; a power cut must not leave empty files under it."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; renames are journalled by the file system
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse to sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
