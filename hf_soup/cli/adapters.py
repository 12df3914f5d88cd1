"""`hf-soup adapters`: LoRA adapters as results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show
from hf_soup.errors import SoupError

if TYPE_CHECKING:
    from hf_soup.adapters import MadeAdapter
    from hf_soup.checkpoints import ModelRef
    from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
    from hf_soup.results import MergedModel

app = typer.Typer(help="Combine LoRA adapters into one, or make one of a full fine-tune.", no_args_is_help=True)

Energy = Annotated[
    float | None,
    typer.Option("--energy", help="Share of the squared norm of each update to keep.", show_default=False),
]


@app.command()
def combine(
    adapters: Annotated[
        list[str],
        typer.Argument(
            help="user/adapter, name@revision, name:adapter_name, name:checkpoint-*, or a folder.", show_default=False
        ),
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
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Go on with adapters that were not trained, scale absurdly or stand there twice."
        ),
    ] = False,
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    as_json: opt.Json = False,
) -> None:
    """Combine adapters of one base: the weighted sum of their updates."""
    from hf_soup.errors import InputError
    from hf_soup.publishing import Target
    from hf_soup.soup import Soup

    shared: dict[str, Any] = {
        "out": out,
        "weights": opt.weights_of(weights),
        "overwrite": overwrite,
        "force": force,
        "license": license,
        "publish": Target(push, private, name_private=name_private) if push is not None else False,
    }
    if form == "model":
        if rank is not None or energy is not None:
            raise InputError("--rank and --energy belong to --as svd; a full model keeps everything.")
        _finish(_full_model(adapters, base, normalize, shared), push, private, license, name_private, as_json)
        return
    if form not in ("concat", "svd"):
        raise InputError(f"--as {form}: is model, concat or svd.")
    with _nothing_is_kept():
        made = Soup(adapters, base=base).merge(
            as_="svd" if form == "svd" else "concat",
            rank=_rank(rank),
            energy=energy,
            normalize=normalize,
            **shared,
        )
    _finish(made, push, private, license, name_private, as_json)


@app.command()
def extract(
    model: Annotated[str, typer.Argument(help="The full fine-tune, or an adapter (a DoRA).", show_default=False)],
    out: opt.Out,
    base: Annotated[str, typer.Option("--base", help="The model that it was fine-tuned from.", show_default=False)],
    rank: Annotated[int | None, typer.Option("--rank", help="Rank of every update.", show_default=False)] = None,
    energy: Energy = None,
    full: Annotated[
        bool, typer.Option("--full", help="Keep norms and biases that differ in full (modules_to_save).")
    ] = False,
    overwrite: opt.Overwrite = False,
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    as_json: opt.Json = False,
) -> None:
    """Make a LoRA of a full fine-tune and its base, and say what is lost."""
    from hf_soup.adapters import extract_adapter
    from hf_soup.publishing import Target

    publish: bool | Target = Target(push, private, name_private=name_private) if push is not None else False
    with _nothing_is_kept():
        made = extract_adapter(
            model,
            base,
            out=out,
            rank=rank,
            energy=energy,
            full=full,
            overwrite=overwrite,
            license=license,
            publish=publish,
        )
    _finish(made, push, private, license, name_private, as_json)


class _Interrupted(SoupError):
    exit_code = 130


@contextmanager
def _nothing_is_kept() -> Iterator[None]:
    """An adapter is written at the end and as a whole, so that after Ctrl-C there is nothing to go on with."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted(
            "Interrupted. Nothing was written: the same command begins again, and downloads nothing twice."
        ) from None


def _full_model(adapters: list[str], base: str | None, normalize: bool, options: dict[str, Any]) -> MergedModel:
    """The average of the adapted models, or, of weights that do not sum to 1, the base with the weighted sum of their updates.

    A sum of whole models with such weights would multiply the base.
    """
    from hf_soup.adapters.common_base import common_base
    from hf_soup.checkpoints import AdapterCheckpoint
    from hf_soup.soup import Soup

    soup = Soup(adapters, base=base)
    models = soup.ingredients.models
    weights = options["weights"] or [1.0] * len(models)
    if base is not None:
        print_warnings(common_base([m.adapter for m in models if isinstance(m, AdapterCheckpoint)], base).warnings)
    if normalize or math.isclose(math.fsum(weights), 1):
        return soup.merge("linear", normalize=normalize, **options)
    return Soup(adapters, base=base or _base_of(models)).merge("task_arithmetic", **options)


def _base_of(models: Sequence[StoredCheckpoint]) -> ModelRef:
    """Where the one base of all adapters was found."""
    from hf_soup.checkpoints import AdapterCheckpoint, ModelRef
    from hf_soup.errors import InputError

    bases = list(dict.fromkeys(m.base.ref for m in models if isinstance(m, AdapterCheckpoint)))
    if len(bases) != 1 or bases[0] is None or not all(isinstance(m, AdapterCheckpoint) for m in models):
        raise InputError(
            "--no-normalize with weights that do not sum to 1 adds the updates to a base, and these models do not all name one base; "
            "name it with --base MODEL."
        )
    ref = bases[0]
    return ModelRef(ref.requested, ref.repo_id, ref.revision, ref.subfolder, ref.path)


def _finish(
    made: MadeAdapter | MergedModel,
    push: str | None,
    private: bool,
    license: str | None,
    name_private: bool,
    as_json: bool,
) -> None:
    """Publishes the result where that is asked for, and prints what was made."""
    from hf_soup.results import MergedModel

    print_warnings(made.warnings)
    url = None
    if push is not None:
        with merge_is_kept(made.path, push):
            url = made.push_to_hub(push, private=private, license=license, name_private=name_private)
    if as_json:
        document = {"path": str(made.path), "url": url}
        if isinstance(made, MergedModel):
            print_json({**document, "recipe": made.recipe.model_dump()})
        else:
            print_json({**document, "energy": made.record.energy, "recipe": made.record.model_dump()})
        return
    if isinstance(made, MergedModel):
        show(f"Written: {made.path}")
    else:
        _show_adapter(made)
    if url:
        show(f"Published: {url}\nVerify it: hf-soup verify {push}")


def _show_adapter(made: MadeAdapter) -> None:
    record = made.record
    if record.form != "concat":
        width = max(map(len, record.modules))
        for name, module in record.modules.items():
            error = "" if module.error is None else f"  error {module.error:.3g} of {module.norm:.3g}"
            show(f"{name:<{width}}  rank {module.rank:>4}  energy {module.energy:7.2%}{error}")
    kept = "exact" if record.form == "concat" else f"{record.energy:.2%} of the energy kept"
    show(f"Written: {made.path} ({len(record.modules)} modules, {kept})")


def _rank(text: str | None) -> int | Literal["auto"] | None:
    from hf_soup.errors import InputError

    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise InputError(f"--rank {text}: write a whole number, or auto.")
    return int(text)
