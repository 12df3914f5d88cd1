"""hf-soup merge: a uniform or weighted soup, or any other method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show
from hf_soup.cli.recipes import recipe_file, request_of


def command(
    context: typer.Context,
    models: Annotated[
        list[str],
        typer.Argument(
            help="user/name, name@revision, name:subfolder, name:checkpoint-*, or a folder. Or one recipe: a .yaml file "
            "of hf-soup or of mergekit.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder to write. None with --stream --push REPO.", show_default=False),
    ] = None,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and stop; no weights but adapters' are read.")
    ] = False,
    run_probe: Annotated[
        bool, typer.Option("--probe", help="With --dry-run: read a sample of the weights too.")
    ] = False,
    overwrite: opt.Overwrite = False,
    fresh: opt.Fresh = False,
    digests: opt.Digests = False,
    force: opt.Force = False,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Read the Hub's models over the network; no weights of theirs on this disk."),
    ] = False,
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    as_json: opt.Json = False,
) -> None:
    """Average models, or combine them by another method."""
    from hf_soup.errors import InputError
    from hf_soup.methods.settings import parse_settings, refuse_options
    from hf_soup.publishing import Target, target_problems
    from hf_soup.soup import Soup

    _refuse_misplaced(out, stream, push, overwrite, fresh)
    target = Target(push, private) if push is not None else None
    recipe = recipe_file(models)
    parameters = parse_settings(settings or [])
    refuse_options(parameters)
    if (shares := opt.weights_of(weights)) is not None:
        parameters["weight"] = shares
    options = {"dtype": dtype, "device": device, "memory": memory, "shard_size": shard_size, "license": license}
    request = request_of(
        recipe, models, context=context, method=method, base=base, options=options, settings=parameters
    )
    print_warnings(request.warnings)
    soup = Soup(**request.soup_arguments, stream=stream)
    if dry_run:
        plan = soup.plan(**request.plan_arguments, out=out)
        plan = plan.with_problems(request.layer_problems(soup.ingredients.all()))
        if target is not None:
            plan = plan.with_problems(target_problems(target))
        found = soup.probe() if run_probe and not plan.problems and (force or not plan.doubts) else None
        if as_json:
            document = plan.to_json()
            if found is not None:
                document["problems"] += [p for p in found.problems if p not in plan.doubts]
                document["warnings"] += found.warnings
            print_json(document)
        else:
            show(str(plan))
            if found is not None:
                for line in (*found.problems, *found.warnings):
                    if line not in plan.doubts:
                        show(f"probe: {line}")
        doubted = not force and (plan.doubts or (found is not None and found.problems))
        raise typer.Exit(2 if plan.problems or doubted else 0)
    if problems := request.layer_problems(soup.ingredients.all()):
        plan = soup.plan(**request.plan_arguments, out=out)
        raise InputError([*problems, *plan.problems, *(() if force else plan.doubts)])
    if out is None:
        assert push is not None
        pushed = soup.merge_to_hub(
            push, **request.merge_arguments, digests=digests, force=force, private=private, name_private=name_private
        )
        print_warnings(pushed.warnings)
        if as_json:
            print_json({"path": None, "url": pushed.url, "recipe": pushed.recipe.model_dump()})
        else:
            show(f"Published: {pushed.url}\nVerify it: hf-soup verify {push}")
        return
    merged = soup.merge(
        **request.merge_arguments,
        out=out,
        overwrite=overwrite,
        fresh=fresh,
        digests=digests,
        force=force,
        publish=target or False,
    )
    print_warnings(merged.warnings)
    url = None
    if push:
        with merge_is_kept(merged.path, push):
            url = merged.push_to_hub(
                push, private=private, license=request.options.get("license"), name_private=name_private
            )
    if as_json:
        print_json({"path": str(merged.path), "url": url, "recipe": merged.recipe.model_dump()})
    else:
        show(f"Written: {merged.path}")
        if url:
            show(f"Published: {url}")


def _refuse_misplaced(out: Path | None, stream: bool, push: str | None, overwrite: bool, fresh: bool) -> None:
    """Without a folder the result must have another place, and options of the folder have no meaning."""
    from hf_soup.errors import InputError

    if out is not None:
        return
    problems = []
    if not stream or push is None:
        problems.append(
            "Say where the result goes: -o DIR, or --stream --push REPO for one that goes to the Hub and is never on this disk."
        )
    problems += [
        f"{option} is about the output folder; name one with -o, or leave it out."
        for option, given in (("--overwrite", overwrite), ("--fresh", fresh))
        if given
    ]
    if problems:
        raise InputError(problems)
