"""Where the parameters that transformers stacks in memory lie in files: one tensor per expert, gate and up apart, or turned.

In memory a mixture of experts is `experts.gate_up_proj` [experts, 2 × out, in]; in files it mostly is one matrix per expert
and projection. What is what is read off transformers' own conversion: numbered parameters of a small size go through
`revert_weight_conversion`, and the numbers in what comes out tell which rows and columns of which expert it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Rows and columns of the small parameters: divisible into the halves, thirds and quarters of fused projections.
_PROBE = (24, 48)


@dataclass(frozen=True)
class Run:
    """The indices first, first + step, … (`count` of them)."""

    first: int
    step: int
    count: int

    def slice(self) -> slice:
        return slice(self.first, self.first + self.step * self.count, self.step)

    def of_size(self, size: int, probed: int) -> Run | None:
        """Returns the same share of an axis of another size, None where it has no such share."""
        first = self.first if self.step > 1 else self.first * size / probed
        count = self.count * size / probed
        return Run(int(first), self.step, int(count)) if first == int(first) and count == int(count) else None


@dataclass(frozen=True)
class StoredPart:
    """A tensor of the files that holds `rows` and `columns` of a parameter [experts, rows, columns] in memory.

    `expert`: whose, None for a tensor that holds all of them or a parameter that has none. `turned`: stored as
    [columns, rows].
    """

    name: str
    expert: int | None
    rows: Run
    columns: Run
    turned: bool

    def shape(self, experts: int | None) -> tuple[int, ...]:
        """Returns the shape of the stored tensor, with `experts` in front where all are in it."""
        matrix = (self.columns.count, self.rows.count) if self.turned else (self.rows.count, self.columns.count)
        return (experts, *matrix) if experts is not None and self.expert is None else matrix


@dataclass(frozen=True)
class StackedParameter:
    """A parameter in memory: [experts, rows, columns], or [rows, columns] with `experts` None.

    `inputs_first`: whether its rows are inputs, as its module tells PEFT (`is_transposed`). `parts`: the tensors of the files
    that together hold it; none where the conversion is more than cutting and turning.
    """

    name: str
    shape: tuple[int, ...]
    inputs_first: bool
    parts: tuple[StoredPart, ...]

    @property
    def experts(self) -> int | None:
        return self.shape[0] if len(self.shape) == 3 else None


def stacked_parameters(model: Any, wanted: tuple[str, ...]) -> dict[str, tuple[StackedParameter, ...]]:
    """Returns, by module, the parameters whose names are or end with one of `wanted`, in the order in which PEFT wraps them.

    `model`: of transformers, on the meta device. Rules: PEFT 0.21, `BaseTuner._inject_parameters`.
    """
    found: dict[str, list[tuple[str, Any]]] = {}
    for module_name, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            name = f"{module_name}.{own}"
            if any(name == key or name.endswith(f".{key}") for key in wanted):
                found.setdefault(module_name, []).append((name, parameter))
    shapes = {name: tuple(parameter.shape) for group in found.values() for name, parameter in group}
    parts = _parts(model, {name: shape for name, shape in shapes.items() if len(shape) in (2, 3)})
    return {
        module_name: tuple(
            StackedParameter(
                name,
                shapes[name],
                bool(getattr(model.get_submodule(module_name), "is_transposed", False)),
                tuple(parts.get(name, ())),
            )
            for name, _ in group
        )
        for module_name, group in found.items()
    }


def _parts(model: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, list[StoredPart]]:
    """Returns the stored tensors of each parameter, none for one of which a part cannot be told."""
    import torch
    from transformers.core_model_loading import revert_weight_conversion

    small = {}
    offset = 0
    offsets = []
    for name, shape in shapes.items():
        size = (*shape[:-2], *_PROBE)
        numbers = torch.arange(torch.Size(size).numel()).view(size)
        small[name] = numbers + offset
        offsets.append(offset)
        offset += numbers.numel()
    try:
        with _parameters_like(model, small):
            stored = revert_weight_conversion(model, small)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError):
        return {}  # needs the real sizes or other tensors, so it is no cutting and turning
    bounds = torch.tensor(offsets)
    names = list(shapes)
    found: dict[str, list[StoredPart]] = {}
    unclear = set()
    seen: dict[tuple[Any, ...], StoredPart | None] = {}
    for stored_name, numbers in stored.items():
        which = int(torch.searchsorted(bounds, numbers.min(), right=True)) - 1
        name, shape = names[which], shapes[names[which]]
        own = (numbers - offsets[which]).contiguous()
        key = (shape, tuple(own.shape), own.numpy().tobytes())  # layers are alike
        if key not in seen:
            seen[key] = _part(own, shape)
        part = seen[key]
        if part is None:
            unclear.add(name)
        else:
            found.setdefault(name, []).append(replace(part, name=stored_name))
    whole = {name for name, parts in found.items() if _covers(parts, shapes[name])}
    return {name: parts for name, parts in found.items() if name in whole and name not in unclear}


@contextmanager
def _parameters_like(model: Any, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Gives parameters other sizes for a while: some conversions look at them (`Transpose` with check_dims)."""
    import torch

    owners = {name: model.get_submodule(name.rpartition(".")[0])._parameters for name in tensors}
    before = {name: owners[name][name.rpartition(".")[2]] for name in tensors}
    try:
        for name, tensor in tensors.items():
            like = torch.empty(tensor.shape, device="meta")
            owners[name][name.rpartition(".")[2]] = torch.nn.Parameter(like, requires_grad=False)
        yield
    finally:
        for name, parameter in before.items():
            owners[name][name.rpartition(".")[2]] = parameter


def _part(numbers: Tensor, shape: tuple[int, ...]) -> StoredPart | None:
    """Tells from the numbers in it which part of a numbered parameter a stored tensor is, None where it is no such part."""
    import torch

    rows, columns = _PROBE
    expert, matrix = numbers // (rows * columns), numbers % (rows * columns)
    i, j = matrix // columns, matrix % columns
    whose: int | None = None
    if numbers.dim() == 3:
        if len(shape) != 3 or not torch.equal(expert, torch.arange(shape[0]).view(-1, 1, 1).expand_as(expert)):
            return None
        if not torch.equal(matrix, matrix[:1].expand_as(matrix)):
            return None
        i, j = i[0], j[0]
    elif numbers.dim() == 2 and bool((expert == expert.flatten()[0]).all()):
        whose = int(expert.flatten()[0]) if len(shape) == 3 else None
    else:
        return None
    turned = i.shape[1] > 1 and bool(i[0, 0] != i[0, 1])
    if turned:
        i, j = i.T, j.T
    if not torch.equal(i, i[:, :1].expand_as(i)) or not torch.equal(j, j[:1].expand_as(j)):
        return None
    down, across = _run(i[:, 0].tolist(), shape[-2], rows), _run(j[0].tolist(), shape[-1], columns)
    return StoredPart("", whose, down, across, turned) if down is not None and across is not None else None


def _run(indices: list[int], size: int, probed: int) -> Run | None:
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step < 1 or indices != list(range(indices[0], indices[0] + step * len(indices), step)):
        return None
    return Run(indices[0], step, len(indices)).of_size(size, probed)


def _covers(parts: list[StoredPart], shape: tuple[int, ...]) -> bool:
    """Whether every number of the parameter is in one of the parts; more of them would be copies."""
    experts = shape[0] if len(shape) == 3 else 1
    held = sum(
        part.rows.count * part.columns.count * (1 if part.expert is not None or len(shape) == 2 else experts)
        for part in parts
    )
    return held == experts * shape[-2] * shape[-1]
