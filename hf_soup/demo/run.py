"""Starts a Hub on loopback, lets the story happen in a process that knows no other Hub, and stops the Hub.

A process of its own, because huggingface_hub reads HF_ENDPOINT once, when it is imported, and whoever calls `run_demo` may
have imported it long ago, for the real Hub.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.demo.ingredients import require_packages
from hf_soup.demo.places import Places, client_environment
from hf_soup.errors import InputError, SoupError

if TYPE_CHECKING:
    from rich.console import Console

_PATIENCE = 20.0  # seconds for the story's process to put things in order after Ctrl-C


def run_demo(folder: Path | None = None, console: Console | None = None) -> dict[str, Any]:
    """Do the main job once with real models, and return what came out (also in `demo.json` of the folder).

    Args:
        folder: for the words, the Hub's repositories and the soups; without it a folder in the cache of Hugging Face
            tools. What is trained is always kept in that cache, for the next run.
        console: the story goes to standard output, or to standard error when this console does.

    Raises:
        InputError: a package of the extra `demo` is missing, or the folder cannot be used.
        SoupError: whatever stopped the story.
        KeyboardInterrupt: Ctrl-C; what is done is kept, and the next call goes on from there.
    """
    from hf_soup.localhub import LocalHub

    require_packages()
    places = Places.choose(folder)
    places.prepare()
    places.outcome.unlink(missing_ok=True)
    with LocalHub(root=places.hub) as hub:
        code = _tell(places, client_environment(places, hub.environment(), os.environ), console)
    return _outcome(places, code)


def _tell(places: Places, environment: dict[str, str], console: Console | None) -> int:
    """Runs `hf_soup.demo.story` in a new process to its end; returns its exit code."""
    # -P: a file of the user's working directory must not be taken for a module of this name.
    command = [sys.executable, "-P", "-m", "hf_soup.demo.story", str(places.folder), str(places.fine_tunes)]
    stdout = sys.stderr if console is not None and console.stderr else None
    sys.stdout.flush()
    process = subprocess.Popen(command, env=environment, stdout=stdout)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal sends Ctrl-C to both processes, `kill -INT` to this one alone.
        _interrupt(process)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return  # the caller ends it


def _outcome(places: Places, code: int) -> dict[str, Any]:
    if code in (130, -signal.SIGINT):
        raise KeyboardInterrupt
    if not places.outcome.is_file():
        raise SoupError(f"The demo's process ended with code {code}; what it said last stands above.")
    outcome: dict[str, Any] = json.loads(places.outcome.read_text(encoding="utf-8"))
    if code == 0:
        return outcome
    problems = outcome["problems"]
    raise InputError(problems) if outcome["exit_code"] == InputError.exit_code else SoupError("\n".join(problems))
