"""`hf-soup adapters`: LoRA adapters as results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.adapters import MadeAdapter

app = typer.Typer(help="Combine LoRA adapters into one, or make one of a full fine-tune.", no_args_is_help=True)

Energy = Annotated[
    float | None,
    typer.Option("--energy", help="Share of the squared norm of each update to keep.", show_default=False),
]


@app.command()
def combine(
    adapters: Annotated[
        list[str],
        typer.Argument(help="user/adapter, name@revision, name:adapter_name, or a folder.", show_default=False),
    ],
    out: opt.Out,
    form: Annotated[
        str, typer.Option("--as", help="concat (an exact adapter), svd (of a chosen rank) or model (full weights).")
    ] = "concat",
    rank: Annotated[
        str | None,
        typer.Option(
            "--rank", help="With svd: the rank, or auto. Else the largest of the adapters.", show_default=False
        ),
    ] = None,
    energy: Energy = None,
    weights: Annotated[str | None, typer.Option("--weights", help="One weight per adapter: 3,1,1.")] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize/--no-normalize", help="Divide the weights by their sum.")
    ] = True,
    base: Annotated[
        str | None, typer.Option("--base", help="The base model, where the adapters name none or different ones.")
    ] = None,
    overwrite: opt.Overwrite = False,
    license: opt.License = None,
    as_json: opt.Json = False,
) -> None:
    """Combine adapters of one base: the weighted sum of their updates."""
    from hf_soup.adapters import combine_adapters
    from hf_soup.errors import InputError

    if form == "model":
        if rank is not None or energy is not None:
            raise InputError("--rank and --energy belong to --as svd; a full model keeps everything.")
        _combine_into_model(adapters, out, opt.weights_of(weights), normalize, base, overwrite, license, as_json)
        return
    if form not in ("concat", "svd"):
        raise InputError(f"--as {form}: is model, concat or svd.")
    made = combine_adapters(
        adapters,
        opt.weights_of(weights),
        out=out,
        as_="svd" if form == "svd" else "concat",
        rank=_rank(rank),
        energy=energy,
        normalize=normalize,
        base=base,
        overwrite=overwrite,
        license=license,
    )
    _print(made, as_json)


@app.command()
def extract(
    model: Annotated[str, typer.Argument(help="The full fine-tune.", show_default=False)],
    out: opt.Out,
    base: Annotated[str, typer.Option("--base", help="The model that it was fine-tuned from.", show_default=False)],
    rank: Annotated[int | None, typer.Option("--rank", help="Rank of every update.", show_default=False)] = None,
    energy: Energy = None,
    full: Annotated[
        bool, typer.Option("--full", help="Keep norms and biases that differ in full (modules_to_save).")
    ] = False,
    overwrite: opt.Overwrite = False,
    license: opt.License = None,
    as_json: opt.Json = False,
) -> None:
    """Make a LoRA of a full fine-tune and its base, and say what is lost."""
    from hf_soup.adapters import extract_adapter

    made = extract_adapter(
        model, base, out=out, rank=rank, energy=energy, full=full, overwrite=overwrite, license=license
    )
    _print(made, as_json)


def _combine_into_model(
    adapters: list[str],
    out: Path,
    weights: list[float] | None,
    normalize: bool,
    base: str | None,
    overwrite: bool,
    license: str | None,
    as_json: bool,
) -> None:
    from hf_soup.soup import Soup

    parameters: dict[str, Any] = {} if normalize else {"normalize": False}
    merged = Soup(adapters, base=base).merge(
        "linear", weights=weights, out=out, overwrite=overwrite, license=license, **parameters
    )
    print_warnings(merged.warnings)
    if as_json:
        print_json({"path": str(merged.path), "recipe": merged.recipe.model_dump()})
    else:
        show(f"Written: {merged.path}")


def _rank(text: str | None) -> int | Literal["auto"] | None:
    from hf_soup.errors import InputError

    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise InputError(f"--rank {text}: write a whole number, or auto.")
    return int(text)


def _print(made: MadeAdapter, as_json: bool) -> None:
    print_warnings(made.warnings)
    record = made.record
    if as_json:
        print_json({"path": str(made.path), "energy": record.energy, "recipe": record.model_dump()})
        return
    if record.form != "concat":
        width = max(map(len, record.modules))
        for name, module in record.modules.items():
            error = "" if module.error is None else f"  error {module.error:.3g} of {module.norm:.3g}"
            show(f"{name:<{width}}  rank {module.rank:>4}  energy {module.energy:7.2%}{error}")
    kept = "exact" if record.form == "concat" else f"{record.energy:.2%} of the energy kept"
    show(f"Written: {made.path} ({len(record.modules)} modules, {kept})")
