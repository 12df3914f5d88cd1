"""The command line in a process that a test kills. litellm is imported once, by the process that the others are forked from."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path

from hf_soup.forecasting.litellm_library import litellm

if multiprocessing.parent_process() is None and __name__ in os.environ.get("PRELOADED_FOR_TESTS", ""):
    litellm()


def start(arguments: Sequence[str], output: Path, waits: Mapping[str, float]) -> BaseProcess:
    """Starts `hf-soup` with these arguments in a process of its own. `waits`: constants of the room, `{"attempts._FIRST_WAIT_S": 0.02}`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PRELOADED_FOR_TESTS")}
    os.environ.update(PYTHONPATH=str(Path(__file__).parent), PRELOADED_FOR_TESTS=__name__)
    try:
        process = context.Process(target=_run, args=(list(arguments), str(output), dict(waits)))
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    return process


def _run(arguments: list[str], output: str, waits: dict[str, float]) -> None:
    from hf_soup.cli.main import main

    for name, seconds in waits.items():
        module, _, constant = name.partition(".")
        setattr(import_module(f"hf_soup.forecasting.{module}"), constant, seconds)
    with Path(output).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    main(arguments)
