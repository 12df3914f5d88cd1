"""hf-soup merge: a uniform or weighted soup, or any other method."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show


def command(
    models: opt.Models,
    out: opt.Out,
    method: Annotated[str, typer.Option("--method", help="See `hf-soup methods`.")] = "linear",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the method: key=value or key[0]=value. Repeatable."),
    ] = None,
    weights: Annotated[str | None, typer.Option("--weights", help="One weight per model: 3,1,1.")] = None,
    base: opt.Base = None,
    dtype: opt.Dtype = None,
    device: opt.Device = "auto",
    memory: opt.Memory = "256MiB",
    shard_size: opt.ShardSize = "5GB",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop; no weights are read.")] = False,
    run_probe: Annotated[
        bool, typer.Option("--probe", help="With --dry-run: read a sample of the weights too.")
    ] = False,
    overwrite: opt.Overwrite = False,
    force: opt.Force = False,
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    as_json: opt.Json = False,
) -> None:
    """Average models, or combine them by another method."""
    from hf_soup.methods.settings import parse_settings, refuse_options
    from hf_soup.soup import Soup

    parameters = parse_settings(settings or [])
    soup = Soup(models, base=base)
    common: dict[str, Any] = {"dtype": dtype, "device": device, "memory": memory, "shard_size": shard_size}
    refuse_options(parameters)
    if dry_run:
        plan = soup.plan(method, weights=opt.weights_of(weights), out=out, **common, **parameters)
        found = soup.probe() if run_probe and not plan.problems else None
        if as_json:
            document = plan.to_json()
            if found is not None:
                document["problems"] += found.problems
                document["warnings"] += found.warnings
            print_json(document)
        else:
            show(str(plan))
            if found is not None:
                for line in (*found.problems, *found.warnings):
                    show(f"probe: {line}")
        raise typer.Exit(2 if plan.problems or (found and found.problems and not force) else 0)
    merged = soup.merge(
        method,
        weights=opt.weights_of(weights),
        out=out,
        overwrite=overwrite,
        force=force,
        license=license,
        publish=push is not None,
        **common,
        **parameters,
    )
    print_warnings(merged.warnings)
    url = None
    if push:
        with merge_is_kept(merged.path, push):
            url = merged.push_to_hub(push, private=private, license=license, name_private=name_private)
    if as_json:
        print_json({"path": str(merged.path), "url": url, "recipe": merged.recipe.model_dump()})
    else:
        show(f"Written: {merged.path}")
        if url:
            show(f"Published: {url}")
