"""A folder that carries its final name only when it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hf_soup.errors import InputError, SoupError

_MARK = ".unfinished-merge"


def output_problems(out: Path, overwrite: bool, inputs: list[Path]) -> list[str]:
    """Returns every reason why a result could not be put there; checked before any work."""
    problems = []
    target = out.absolute()
    if target.exists():
        if not target.is_dir():
            problems.append(f"The output '{out}' exists and is a file; name a folder.")
        elif any(target.resolve() == path.resolve() for path in inputs):
            problems.append(f"The output '{out}' is one of the ingredients; name another folder.")
        elif not overwrite and any(target.iterdir()):
            problems.append(f"The output folder '{out}' exists; name another one or pass --overwrite.")
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        problems.append(f"The output folder '{out}' cannot be made: '{parent}' is not writable.")
    partial = partial_path(target)
    if partial.exists() and not (partial / _MARK).exists():
        problems.append(f"'{partial}' is in the way and was not made by a merge; move it or name another output.")
    return problems


def partial_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


@contextmanager
def partial_folder(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """Gives `OUT.partial` to write into; renames it to `out` when the block ends well and removes it when it does not.

    An earlier `out` is put aside first and deleted only when the new one stands.
    """
    target = out.absolute()
    partial = partial_path(target)
    if problems := output_problems(out, overwrite, []):
        raise InputError(problems)
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        (partial / _MARK).touch()
    except OSError as error:
        raise InputError(f"The output folder '{out}' cannot be made: {error}.") from error
    try:
        yield partial
        (partial / _MARK).unlink()
        _sync_folder(partial)
        _put_in_place(partial, target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise SoupError(f"Writing '{out}' failed ({error}); nothing of it was kept.") from error
        raise


def _put_in_place(partial: Path, target: Path) -> None:
    old = target.with_name(target.name + ".replaced")
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    if old.exists():
        shutil.rmtree(old)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there; renames are journalled by the file system
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse to sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
