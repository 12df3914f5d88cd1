"""What can be known of models before they are combined: sizes, licences, compatibility, geometry."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    """Reads headers, configs and cards of all models; with `probe` also a sample of the weights.

    Raises InputError when a model cannot be opened.
    """
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
            )
        )
    plan = soup.plan() if len(soup.ingredients.models) > 1 else None
    found = soup.probe() if probe and plan is not None and not plan.problems else None
    return Inspection(
        models=tuple(models),
        problems=(plan.problems if plan else ()) + (found.problems if found else ()),
        warnings=(plan.warnings if plan else ()) + (found.warnings if found else ()),
        cosines=found.cosines.round(4).tolist() if found else None,
    )
