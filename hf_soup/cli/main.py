"""The program `hf-soup`: its commands, and what becomes of errors."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence

import typer

from hf_soup.cli import (
    adapters,
    demo,
    ensemble,
    evaluate,
    extension,
    forecast,
    greedy,
    hub,
    inspect,
    merge,
    methods,
    push,
    verify,
)
from hf_soup.errors import InputError, SoupError
from hf_soup.progress import speaking_json
from hf_soup.ranks import end_process, launched_alone

_INTERRUPTED = 130

app = typer.Typer(
    name="hf-soup",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Combine what several Hugging Face models know: average, judge on held-out data, publish, verify.",
)


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        from hf_soup import __version__

        typer.echo(f"hf-soup {__version__}")
        raise typer.Exit


for module in (merge, greedy, evaluate, inspect, methods, push, verify, demo):
    app.command(module.__name__.rsplit(".", 1)[-1])(module.command)
app.add_typer(hub.app, name="hub")
app.add_typer(adapters.app, name="adapters")
app.add_typer(ensemble.app, name="ensemble")
app.add_typer(forecast.app, name="forecast")
app.add_typer(extension.app, name="extension")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits with its code. `--debug` is understood anywhere on the line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console that lacks a sign such as "−" is no reason to stop
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    if "--version" in given[:1]:
        given = ["--version", "methods"]  # a group wants a command; the option ends the program before it
    if launched_alone():
        print(
            "accelerate launch was asked for several processes and has started one, as it does with --cpu; start them with "
            "`torchrun --nproc_per_node N` instead. Going on with one.",
            file=sys.stderr,
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is asked to end ends as cleanly as with Ctrl-C
    with speaking_json("--json" in given):
        code = _run(given, debug)
    end_process(code)


def _run(arguments: list[str], debug: bool) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="hf-soup", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except SoupError as error:
        if debug:
            raise
        _explain(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # Typer may bring its own copy of click, so its errors are known by what they can do.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()
            return int(error.exit_code)
        if debug:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        print("This was not expected; run the command again with --debug to see where it happened.", file=sys.stderr)
        return 1
    if code == _INTERRUPTED:  # typer turns Ctrl-C into this code itself
        print("Interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _explain(error: SoupError) -> None:
    for problem in error.problems if isinstance(error, InputError) else [str(error)]:
        print(problem, file=sys.stderr)
