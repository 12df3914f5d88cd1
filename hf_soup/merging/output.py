"""A folder that carries its final name only when it is complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hf_soup.errors import InputError, SoupError
from hf_soup.merging.record import RECORD_NAME
from hf_soup.progress import say

_MARK = ".unfinished-merge"


def output_problems(out: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> list[str]:
    """Returns every reason why a result could not be put there; checked before any work.

    `inputs`: local files and folders that the work reads, which the output must neither be, hold, nor lie in. Only the
    result of an earlier merge (a folder with soup.json) may be replaced, and only with `overwrite`.
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
        elif not (target / RECORD_NAME).is_file():
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
    if partial.exists() and not (partial / _MARK).exists():
        problems.append(f"'{partial}' is in the way and was not made by a merge; move it or name another output.")
    return problems


def existing_parent(path: Path) -> Path | None:
    """Returns the nearest folder above that exists; None where not even the drive does."""
    return next((parent for parent in path.absolute().parents if parent.exists()), None)


def partial_path(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


@contextmanager
def partial_folder(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """Gives `OUT.partial` to write into; renames it to `out` when the block ends well and removes it when it does not.

    An earlier result is put aside first and deleted only when the new one stands.
    """
    if problems := output_problems(out, overwrite):
        raise InputError(problems)
    target = out.expanduser().resolve()
    partial = partial_path(target)
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        (partial / _MARK).touch()
    except OSError as error:
        raise InputError(f"The output folder '{out}' cannot be made: {error}.") from error
    try:
        yield partial
        _sync(partial)
        _put_in_place(partial, target)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise SoupError(f"Writing '{out}' failed ({error}); nothing of it was kept.") from error
        raise
    (target / _MARK).unlink()


def _put_in_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        _sync_folder(target.parent)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.replaced-", dir=target.parent))
    target.rename(aside / target.name)
    try:
        partial.rename(target)
    except OSError:
        (aside / target.name).rename(target)
        aside.rmdir()
        raise
    _sync_folder(target.parent)
    try:
        shutil.rmtree(aside)
    except OSError as error:
        say(f"Warning: the folder that was replaced could not be removed ({error}); it is '{aside}'.")


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
