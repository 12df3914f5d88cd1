"""hf-soup greedy: a soup of those models that make it better on held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show


def command(
    models: opt.Models,
    out: opt.Out,
    data: Annotated[Path | None, typer.Option("--data", help="Held-out data: CSV, JSONL or Parquet.")] = None,
    task: opt.Task = None,
    metric: opt.Metric = None,
    score: Annotated[
        str | None,
        typer.Option("--score", help="Instead of --data: a command that prints a number; {model} is the folder."),
    ] = None,
    minimise: Annotated[bool, typer.Option("--minimise", help="With --score: smaller numbers are better.")] = False,
    test: Annotated[Path | None, typer.Option("--test", help="Test data, used for the evidence only.")] = None,
    shift: Annotated[
        list[str] | None, typer.Option("--shift", help="Data from elsewhere, for the evidence: NAME=FILE. Repeatable.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Accept only what makes the soup better, not equal.")
    ] = False,
    random_order: Annotated[bool, typer.Option("--random-order", help="Try the models in random order.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of --random-order.")] = 0,
    column: opt.Column = None,
    labels: opt.Labels = None,
    base: opt.Base = None,
    dtype: opt.Dtype = None,
    device: opt.Device = "auto",
    memory: opt.Memory = "256MiB",
    shard_size: opt.ShardSize = "5GB",
    overwrite: opt.Overwrite = False,
    fresh: opt.Fresh = False,
    digests: opt.Digests = False,
    force: opt.Force = False,
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Choose ingredients by held-out data (Recipe 1 of arXiv 2203.05482) and average them."""
    from hf_soup.publishing import Target
    from hf_soup.soup import Soup

    held_out = opt.held_out(data, score, task, metric, column, labels, minimise)
    merged = Soup(models, base=base).greedy(
        held_out,
        out=out,
        test=test,
        shifts=opt.pairs(shift, "--shift"),
        strict=strict,
        order="random" if random_order else "score",
        seed=seed,
        dtype=dtype,
        device=device,
        memory=memory,
        shard_size=shard_size,
        overwrite=overwrite,
        fresh=fresh,
        digests=digests,
        force=force,
        license=license,
        publish=Target(push, private) if push is not None else False,
        trust_remote_code=trust_remote_code,
    )
    print_warnings(merged.warnings)
    url = None
    if push:
        with merge_is_kept(merged.path, push):
            url = merged.push_to_hub(push, private=private, license=license, name_private=name_private)
    if as_json:
        evidence = merged.report.to_json() if merged.report else None
        document = {"path": str(merged.path), "url": url, "recipe": merged.recipe.model_dump(), "evidence": evidence}
        print_json(document)
        return
    show(str(merged.report))
    show(f"\nWritten: {merged.path}")
    if url:
        show(f"Published: {url}\nVerify it: hf-soup verify {push}")
