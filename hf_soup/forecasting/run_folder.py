"""The folder of a run: who may write there, and what lies in it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from pydantic import ValidationError

from hf_soup.errors import InputError, SoupError
from hf_soup.forecasting.call import Forecast
from hf_soup.forecasting.call_log import CallLog
from hf_soup.forecasting.scrub import scrub_all, secrets_of_environment
from hf_soup.forecasting.sent_log import SentLog

RECORD, ROWS, CALLS, SENT = "run.json", "forecasts.jsonl", "calls.jsonl", "sent.jsonl"
FORMAT = 1
_LOCK = ".lock"


class RunFolder:
    """A run that this process writes: `run.json` (what was asked), `forecasts.jsonl` (what was read), `calls.jsonl` (the
    transcripts) and `sent.jsonl` (requests that went out). All of them are for the user's eyes only.

    Raises InputError where another process writes there, and where the folder holds something else than a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if problem := problem_of_folder(path):
            raise InputError(problem)
        with ExitStack() as opened:
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = FileLock(path / _LOCK, mode=0o600)
                lock.acquire(timeout=0)
            except Timeout as error:
                raise InputError(
                    f"{path}: another process is at work on this run; wait until it ends, or name another folder."
                ) from error
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be written ({error.strerror or error}); name another folder."
                ) from error
            opened.callback(lock.release)
            self.calls = CallLog(path / CALLS)
            opened.callback(self.calls.close)
            self.sent = SentLog(path / SENT)
            opened.callback(self.sent.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def spent(self) -> float:
        """Dollars, over all commands so far; requests without an answer in calls.jsonl at their worst case."""
        return self.calls.spent + self.sent.lost(self.calls)

    def record(self) -> dict[str, Any]:
        """Returns what run.json says; nothing in a new folder."""
        return read_record(self.path) if (self.path / RECORD).is_file() else {}

    def write_record(self, record: dict[str, Any]) -> None:
        versions = {"format": FORMAT, "versions": {name: _version(name) for name in ("hf-soup", "litellm")}}
        scrubbed = scrub_all({**versions, **record}, secrets_of_environment())
        self._write(RECORD, [json.dumps(scrubbed, indent=1, ensure_ascii=False, default=_plain)])

    def write_rows(self, rows: Iterable[Forecast]) -> None:
        self._write(ROWS, (row.model_dump_json() for row in rows))

    def _write(self, name: str, lines: Iterable[str]) -> None:
        """As a whole, or not at all."""
        draft = None
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=self.path, prefix=f".{name}.", delete=False, encoding="utf-8", newline="\n"
            ) as file:  # with mode 0600
                draft = Path(file.name)
                for line in lines:
                    file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path / name)
        except OSError as error:
            if draft is not None:
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
            raise SoupError(
                f"{self.path / name}: {error.strerror or error}. The {len(self.calls)} calls in {CALLS} are safe; make room, and "
                "run the same command again."
            ) from error


def problem_of_folder(path: Path) -> str | None:
    """Returns why a run cannot be in this folder, as far as its names tell; None for a new or empty one, or a run."""
    if not path.exists():
        return None
    if not path.is_dir():
        return f"{path}: is a file; name a folder for the run."
    names = {each.name for each in path.iterdir()}
    ours = {_LOCK, CALLS, SENT}  # a run that was killed before run.json was complete
    if RECORD not in names and any(name not in ours and not name.startswith(f".{RECORD}.") for name in names):
        return f"{path}: holds other files and no {RECORD}, so it is not a run; name another folder."
    return None


def read_record(path: Path) -> dict[str, Any]:
    """Returns what run.json of a run says. Raises InputError where there is none, or one of another format."""
    file = path / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: is not the folder of a run, it has no {RECORD}.") from error
    except ValueError as error:
        raise InputError(f"{file}: is not JSON ({error}).") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(
            f"{file}: is not of format {FORMAT}, which this version reads. Use the version that wrote it."
        )
    return record


def read_rows(path: Path) -> list[Forecast]:
    """Returns the rows of forecasts.jsonl. Raises InputError naming the line that is not understood."""
    file = path / ROWS
    if not file.is_file():
        raise InputError(f"{path}: has no {ROWS} yet; run the command that asks again.")
    rows = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(Forecast.model_validate_json(line))
            except ValidationError as error:
                raise InputError(
                    f"{file}: line {number} is no forecast of this version ({error.errors()[0]['msg']})."
                ) from error
    return rows


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
