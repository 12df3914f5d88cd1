"""Matching tensors by name: which tensor of each model goes into which tensor of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hf_soup.checkpoints import Checkpoint, TensorInfo
from hf_soup.checkpoints.checkpoint import Origin
from hf_soup.checkpoints.dtypes import FLOATING, INTEGER, promote
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tied import tied_source
from hf_soup.methods import MergeMethod

_SHOWN = 5


class Rule(StrEnum):
    """What happens to a tensor."""

    COMBINE = "combine"
    """Floating point: combined by the method."""
    COPY = "copy"
    """Integer or bool: must be equal in all models, and is copied. Only BatchNorm's step counter may differ: the
    donor's is taken, since it is used for nothing but cumulative averages in later training."""


@dataclass(frozen=True)
class MergedTensor:
    """A tensor of the result. `sources`: its name in each model, which differs only for tied weights."""

    info: TensorInfo
    rule: Rule
    sources: tuple[str, ...]
    base_source: str | None = None
    """Its name in the base, where there is a base."""
    double: bool = False
    """Some input is float64, so the arithmetic is too; else it is float32."""
    shared: bool = False
    """All models, and the base where there is one, have it from one place, and the method returns what is everywhere equal:
    it is copied, not computed. See `with_shared`."""

    @property
    def copied(self) -> bool:
        return self.shared or self.rule is Rule.COPY

    def source(self, place: int | None) -> str:
        """Its name in the model with that index, or, for None, in the base."""
        return str(self.base_source) if place is None else self.sources[place]

    def permuted(self, order: Sequence[int]) -> MergedTensor:
        return replace(self, sources=tuple(self.sources[i] for i in order))


def match_tensors(
    models: Sequence[Checkpoint], base: Checkpoint | None, dtype: str | None
) -> tuple[list[MergedTensor], list[str]]:
    """Returns the tensors of the result, sorted by name, and every problem of names, shapes and dtypes.

    The result has the tensors of the base, or of the first model where there is none. `dtype`: safetensors code for all
    floating tensors of the result, or None to keep each one's (the widest of the models where they differ).
    """
    donor = base or models[0]
    n_models = len(models)
    models = models if base is None else [*models, base]
    wanted = set(donor.names())
    problems: list[str] = []
    for model in models:
        extra = [n for n in model.names() if n not in wanted and tied_source(donor, n) is None]
        problems += _listed(
            extra, f"{model.label} has tensors that {donor.label} lacks", "merge models of one kind only"
        )
    matched = []
    missing: dict[int, list[str]] = {}
    for name in sorted(wanted):
        sources: list[str | None] = [_source(model, name) for model in models]
        for index, source in enumerate(sources):
            if source is None:
                missing.setdefault(index, []).append(name)
        if None in sources:
            continue
        infos = [model.info(str(source)) for model, source in zip(models, sources, strict=True)]
        problem = _shape_problem(name, models, infos) or _dtype_problem(name, models, infos)
        if problem:
            problems.append(problem)
            continue
        rule = Rule.COMBINE if infos[0].dtype in FLOATING else Rule.COPY
        out = infos[0].dtype if rule is Rule.COPY else dtype or promote({info.dtype for info in infos[:n_models]})
        names = [str(source) for source in sources]
        merged = TensorInfo(name, out, infos[0].shape)
        double = any(info.dtype == "F64" for info in infos)
        matched.append(MergedTensor(merged, rule, tuple(names[:n_models]), names[n_models] if base else None, double))
    for index, names in missing.items():
        problems += _listed(names, f"{models[index].label} lacks tensors", f"{donor.label} has them")
    return matched, problems


def with_shared(
    tensors: Sequence[MergedTensor],
    models: Sequence[Checkpoint],
    base: Checkpoint | None,
    method: MergeMethod,
    parameters: TensorParameters,
) -> list[MergedTensor]:
    """Returns the same tensors, those marked as shared that need no arithmetic.

    So adapters of one base give back, bit for bit, what none of them touches; three thirds of a number may be another number.
    `models`, `parameters`: in the order of the tensors' sources.
    """
    left = {tensor.info.name: tensor for tensor in tensors if may_be_shared(tensor, models[0], method, parameters)}
    places: list[tuple[int | None, Checkpoint]] = [*enumerate(models), *([(None, base)] if base is not None else [])]
    common: dict[str, Origin] = {}
    for place, checkpoint in places:
        if not left:
            break
        found = checkpoint.origins()
        origins = {name: found[tensor.source(place)] for name, tensor in left.items()}
        common = common or origins
        left = {name: tensor for name, tensor in left.items() if origins[name] == common[name]}
    return [replace(tensor, shared=True) if tensor.info.name in left else tensor for tensor in tensors]


def may_be_shared(tensor: MergedTensor, first: Checkpoint, method: MergeMethod, parameters: TensorParameters) -> bool:
    """Whether the tensor needs no arithmetic where all models have the same. `first`: the first of the tensor's sources."""
    return (
        tensor.rule is Rule.COMBINE
        and first.info(tensor.sources[0]).dtype == tensor.info.dtype
        and method.returns_equals(parameters.of(tensor.info.name))
    )


def _source(model: Checkpoint, name: str) -> str | None:
    try:
        model.info(name)
    except KeyError:
        return tied_source(model, name)
    return name


def _shape_problem(name: str, models: Sequence[Checkpoint], infos: Sequence[TensorInfo]) -> str | None:
    for model, info in zip(models[1:], infos[1:], strict=True):
        if info.shape != infos[0].shape:
            return (
                f"Tensor '{name}' is {list(info.shape)} in {model.label}, in {models[0].label} it is "
                f"{list(infos[0].shape)}; shapes must agree."
            )
    return None


def _dtype_problem(name: str, models: Sequence[Checkpoint], infos: Sequence[TensorInfo]) -> str | None:
    for model, info in zip(models, infos, strict=True):
        if info.dtype not in FLOATING and info.dtype not in INTEGER:
            return f"Tensor '{name}' of {model.label} is {info.dtype}; use the checkpoint in 16 or 32 bits."
        if (info.dtype in FLOATING) != (infos[0].dtype in FLOATING):
            return f"Tensor '{name}' is {info.dtype} in {model.label} and {infos[0].dtype} in {models[0].label}."
        if info.dtype in INTEGER and info.dtype != infos[0].dtype:
            return f"Tensor '{name}' is {info.dtype} in {model.label} and {infos[0].dtype} in {models[0].label}."
    return None


def _listed(names: list[str], what: str, why: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    return [f"{what}: {shown}{more}; {why}."]
