"""What can be known of models before they are combined: sizes, licences, compatibility, geometry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.checkpoints import AdapterCheckpoint
    from hf_soup.soup import Soup


@dataclass(frozen=True)
class InspectedModel:
    """One model. `bytes`: of its weight files. `licence`: as its card says, None where it says nothing."""

    label: str
    architecture: str | None
    tensors: int
    parameters: int
    bytes: int
    bytes_to_download: int
    dtypes: tuple[str, ...]
    labels: tuple[str, ...] | None
    licence: str | None
    fingerprint: str
    adapter: InspectedAdapter | None = None


@dataclass(frozen=True)
class InspectedAdapter:
    """What a LoRA adapter does to its base. `base`: the label of the model that it is read over.

    `ranks`, `scales`: all that occur among its updates; a scale is lora_alpha / r, with rsLoRA lora_alpha / √r. `variants`:
    rsLoRA, DoRA. `targets`: the last parts of the names of the modules that it updates. `updated`: how many tensors.
    `replaced`: tensors of which it brings the whole, as the base's files name them or would.
    """

    base: str
    ranks: tuple[int, ...]
    alpha: float
    scales: tuple[float, ...]
    variants: tuple[str, ...]
    targets: tuple[str, ...]
    updated: int
    replaced: tuple[str, ...]

    @classmethod
    def of(cls, checkpoint: AdapterCheckpoint) -> InspectedAdapter:
        config, updates = checkpoint.adapter.config, checkpoint.fitted.updates.values()
        variants = {"rsLoRA": config.rslora, "DoRA": not checkpoint.adapter.is_low_rank}
        return cls(
            base=checkpoint.base.label,
            ranks=tuple(sorted({update.rank for update in updates})),
            alpha=config.alpha,
            scales=tuple(sorted({update.scale for update in updates})),
            variants=tuple(name for name, used in variants.items() if used),
            targets=tuple(sorted({update.module.rsplit(".", 1)[-1] for update in updates})),
            updated=len(updates),
            replaced=tuple(sorted(checkpoint.fitted.replaced)),
        )


@dataclass(frozen=True)
class Inspection:
    """`cosines`: medians over sampled matrices for every pair, None when the weights were not looked at."""

    models: tuple[InspectedModel, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    cosines: list[list[float]] | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def inspect_models(soup: Soup, *, probe: bool = False) -> Inspection:
    """Reads headers, configs, cards and adapters of all models; with `probe` also a sample of the weights.

    Raises InputError when a model cannot be opened.
    """
    from hf_soup.checkpoints import AdapterCheckpoint
    from hf_soup.merging.adapter_health import adapter_problems, adapters_of
    from hf_soup.merging.compatibility import label_names
    from hf_soup.publishing import read_card

    models = []
    for checkpoint in soup.ingredients.all():
        infos = [checkpoint.info(name) for name in checkpoint.names()]
        names = label_names(checkpoint.config)
        architectures = checkpoint.config.get("architectures") or [None]
        models.append(
            InspectedModel(
                label=checkpoint.label,
                architecture=architectures[0],
                tensors=len(infos),
                parameters=sum(info.numel for info in infos),
                bytes=sum(file.size for file in checkpoint.weight_files()),
                bytes_to_download=checkpoint.bytes_to_download(),
                dtypes=tuple(sorted({info.dtype for info in infos})),
                labels=tuple(names) if names else None,
                licence=read_card(checkpoint.folder).get("license"),
                fingerprint=checkpoint.fingerprint,
                adapter=InspectedAdapter.of(checkpoint) if isinstance(checkpoint, AdapterCheckpoint) else None,
            )
        )
    plan = soup.plan() if len(soup.ingredients.models) > 1 else None
    found = soup.probe() if probe and plan is not None and not plan.problems else None
    problems = [*(plan.problems if plan else ()), *adapter_problems(adapters_of(soup.ingredients.all()))]
    problems += found.problems if found else ()
    return Inspection(
        models=tuple(models),
        problems=tuple(dict.fromkeys(problems)),
        warnings=(plan.warnings if plan else ()) + (found.warnings if found else ()),
        cosines=found.cosines.round(4).tolist() if found else None,
    )
