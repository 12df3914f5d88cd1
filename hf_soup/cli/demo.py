"""hf-soup demo: the main job, end to end, with real models, on a Hub of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where the demo works; the cache by default.")
    ] = None,
) -> None:
    """Fine-tune small models and LoRA adapters, publish them on a loopback Hub, and make, publish and verify their soups."""
    from hf_soup.demo import run_demo

    run_demo(folder)
