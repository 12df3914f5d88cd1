"""A soup of adapters that stays an adapter: what `Soup.merge` does with `as_="concat"` and `as_="svd"`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_soup.errors import InputError
from hf_soup.ranks import on_main_process

if TYPE_CHECKING:
    from hf_soup.adapters import MadeAdapter
    from hf_soup.adapters.combination import Model
    from hf_soup.publishing import Target


def merge_into_adapter(
    models: Sequence[Model],
    base: Model | None,
    form: Literal["concat", "svd"],
    *,
    method: str,
    out: Path,
    weights: Sequence[float] | None,
    rank: int | Literal["auto"] | None,
    energy: float | None,
    overwrite: bool,
    force: bool,
    license: str | None,
    publish: bool | str | Target,
    token: str | bool | None,
    revision: str | None,
    cache_dir: str | Path | None,
    model_options: Mapping[str, bool],
    parameters: Mapping[str, Any],
) -> MadeAdapter:
    """Calls `combine_adapters`, in the main process of several. `model_options`: options of a full model, and whether each is given.

    Raises InputError for these, for another method than linear and other parameters than its own; else what that raises.
    """
    from hf_soup.adapters import combine_adapters

    problems = [
        f"{name} is about the weights of a full model, not about an adapter; leave it out, or ask for as_='model'."
        for name, given in model_options.items()
        if given
    ]
    if method != "linear":
        problems.append(
            f"method='{method}': updates of adapters are added up (linear); other methods need as_='model'."
        )
    problems += [
        f"{name}: the method linear has weight and normalize, and no parameter of this name."
        for name in parameters
        if name not in ("weight", "normalize")
    ]
    if problems:
        raise InputError(problems)
    return on_main_process(
        lambda: combine_adapters(
            models,
            parameters.get("weight") if weights is None else weights,
            out=out,
            as_=form,
            rank=rank,
            energy=energy,
            normalize=bool(parameters.get("normalize", True)),
            base=base,
            overwrite=overwrite,
            force=force,
            license=license,
            publish=publish,
            token=token,
            revision=revision,
            cache_dir=cache_dir,
        )
    )
