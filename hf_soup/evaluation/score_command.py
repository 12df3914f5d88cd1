"""Any command as a judge: `lm_eval --model_args pretrained={model} …` prints a number or a JSON object."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO

from hf_soup.errors import InputError, SoupError

_TAIL_LINES = 15
_SCRIPTS = {".py", ".sh", ".bash", ".r", ".jl", ".js", ".mjs", ".ts", ".pl", ".rb", ".lua", ".ps1", ".bat", ".cmd"}


@dataclass(frozen=True)
class ScoreCommand:
    """A command, run without a shell; `{model}` in it stands for a local folder with the model.

    The last line that it prints is a number, or a JSON object of numbers by metric.
    """

    command: str

    def __post_init__(self) -> None:
        problem = None
        try:
            if not any("{model}" in part for part in self._parts()):
                problem = "has no {model}, which stands for the folder of the model that is to be scored"
        except ValueError as error:
            problem = f"cannot be split into words ({error})"
        if problem:
            raise InputError(f"The score command '{self.command}' {problem}.")

    def _parts(self) -> list[str]:
        if os.name == "nt":  # backslashes are part of paths there
            return [part.strip('"') for part in shlex.split(self.command, posix=False)]
        return shlex.split(self.command)

    def arguments(self, model: Path) -> list[str]:
        return [part.replace("{model}", str(model)) for part in self._parts()]

    @property
    def name(self) -> str:
        """What may be published: the script's or the program's last name; never an argument, which may be a token or path."""
        program, *arguments = self._parts()
        scripts = [part for part in arguments if Path(part).suffix.lower() in _SCRIPTS and _is_file(part)]
        return f"score command {Path((scripts or [program])[0]).name}"

    def fingerprint(self) -> str:
        """A digest of all that can be seen of what the scores depend on: the words of the command, the working directory,
        and the content of every file among the words, also behind an option's `=`.

        What these files read in turn is not seen; when that changes, the scores must be cleared from the cache.
        """
        named = {place for part in self._parts() for place in (part, part.partition("=")[2]) if place}
        files = {}
        for place in sorted(named):
            if _is_file(place):
                with Path(place).open("rb") as file:
                    files[place] = hashlib.file_digest(file, "sha256").hexdigest()
        essence = ["command", self.command, str(Path.cwd()), files]
        return hashlib.sha256(json.dumps(essence, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()

    def run(self, model: Path) -> dict[str, float]:
        """Returns the numbers that the command printed; a single number has the name "".

        Its standard error goes on to ours. Raises SoupError, with its last lines, when the command fails.
        """
        try:
            process = subprocess.Popen(
                self.arguments(model),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise InputError(f"The score command '{self.command}' cannot be started ({error}).") from error
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            watcher = Thread(target=_pass_on, args=(process.stderr, tail), daemon=True)
            watcher.start()
            try:
                printed = process.stdout.read()
            except BaseException:
                process.kill()
                raise
            watcher.join()
        if process.returncode != 0:
            said = "".join(tail).strip() or "nothing on standard error"
            raise SoupError(f"The score command '{self.command}' ended with code {process.returncode}:\n{said}")
        return self._numbers(printed)

    def _numbers(self, printed: str) -> dict[str, float]:
        lines = printed.strip().splitlines()
        last = lines[-1].strip() if lines else ""
        try:
            found = json.loads(last)
        except json.JSONDecodeError:
            found = None
        numbers = found if isinstance(found, dict) else {"": found}
        if numbers and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in numbers.values()
        ):
            return {str(name): float(value) for name, value in numbers.items()}
        if isinstance(found, dict):  # a harness may print more than numbers
            chosen = {
                str(k): float(v) for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)
            }
            if chosen:
                return chosen
        shown = f"'{last[:200]}'" if last else "nothing"
        raise SoupError(
            f"The score command '{self.command}' must print a number or a JSON object of numbers as its last line; it printed {shown}."
        )


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except (OSError, ValueError):  # a word that no file could be called
        return False


def _pass_on(stream: IO[str], tail: deque[str]) -> None:
    for line in stream:
        tail.append(line)
        sys.stderr.write(line)
