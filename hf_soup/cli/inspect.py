"""hf-soup inspect: a look at models before they are combined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, show

if TYPE_CHECKING:
    from hf_soup.inspection import InspectedAdapter

_SHOWN = 8


def command(
    models: opt.Models,
    base: opt.Base = None,
    run_probe: Annotated[
        bool, typer.Option("--probe", help="Read a sample of the weights: common ancestor, NaN.")
    ] = False,
    as_json: opt.Json = False,
) -> None:
    """Show headers, sizes, licences, compatibility and, with --probe, the geometry of models."""
    from hf_soup.inspection import inspect_models
    from hf_soup.sizes import format_size
    from hf_soup.soup import Soup

    inspection = inspect_models(Soup(models, base=base), probe=run_probe)
    if as_json:
        print_json(inspection.to_json())
        return
    for model in inspection.models:
        show(f"{model.label}")
        show(
            f"  {model.architecture or 'unknown architecture'}, {model.parameters:,} parameters in {model.tensors} tensors"
        )
        show(
            f"  {format_size(model.bytes)} {'+'.join(model.dtypes)}, {format_size(model.bytes_to_download)} to download"
        )
        for line in _adapter_lines(model.adapter) if model.adapter else []:
            show(f"  {line}")
        if model.labels:
            show(f"  labels: {', '.join(model.labels[:10])}{' …' if len(model.labels) > 10 else ''}")
        show(f"  licence: {model.licence or 'not stated'}; fingerprint {model.fingerprint[:12]}")
    for number, row in enumerate(inspection.cosines or []):
        show(f"cosines {number}: " + " ".join(f"{value:6.3f}" for value in row))
    for warning in inspection.warnings:
        show(f"warning: {warning}")
    for problem in inspection.problems:
        show(f"problem: {problem}")
    if len(inspection.models) > 1 and not inspection.problems:
        show("These models can be merged.")


def _adapter_lines(adapter: InspectedAdapter) -> Iterator[str]:
    kind = " ".join(["LoRA", *(f"({name})" for name in adapter.variants)])
    yield f"{kind} on {adapter.base}"
    if adapter.updated:
        ranks, scales = (", ".join(f"{value:g}" for value in values) for values in (adapter.ranks, adapter.scales))
        yield f"rank {ranks}, lora_alpha {adapter.alpha:g}, scale {scales}"
        yield f"updates {adapter.updated} tensors: {_some(adapter.targets)}"
    if adapter.replaced:
        yield f"replaces {_some(adapter.replaced)}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
