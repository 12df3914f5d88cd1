"""Which tensor of the files is which tensor of the model in memory: read off transformers' own loading.

Names in files and in memory differ (ViT: `encoder.layer.0.attention.attention.query` and `layers.0.attention.q_proj`), tied
weights are in the files once, base models lack a prefix. Instead of repeating those rules, a stand-in for every tensor of
the checkpoint is given to `from_pretrained`. A parameter that then lies in the memory of a stand-in, with its shape and
layout, is that tensor and nothing was done to it: not split, stacked, transposed or cast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.evaluation.tokenizers import first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class NameMap:
    """`sources`: the tensor in the files for each tensor in memory (tied ones have the same). `one_to_one`: whether that
    accounts for every tensor of the model; where experts are stacked or matrices fused on loading it does not."""

    sources: Mapping[str, str]
    one_to_one: bool


@dataclass(frozen=True)
class _Trace:
    model: Any
    sources: dict[str, str]
    made: set[str]
    """Buffers that the model makes itself where the files have none."""


def trace_names(kind: Any, config: Any, checkpoint: Checkpoint) -> tuple[Any, NameMap]:
    """Returns a model in memory, with meaningless weights, and its NameMap.

    Raises InputError, naming the tensors, when the checkpoint does not fill the model or has tensors of other shapes.
    """
    trace = _load_stand_ins(kind, config, checkpoint, main_dtype(config, checkpoint))
    sources, memory = dict(trace.sources), trace.model.state_dict()
    left = {name for name in memory if name not in sources and memory[name].is_floating_point()}
    for dtype in sorted({memory[name].dtype for name in left}, key=str):
        # Parameters that the model keeps in another dtype than its own were cast; stand-ins of that dtype are not.
        again = _load_stand_ins(kind, config, checkpoint, dtype).sources
        sources |= {name: again[name] for name in left & set(again) if memory[name].dtype == dtype}
    return trace.model, NameMap(sources, one_to_one=set(memory) <= set(sources) | trace.made)


def _load_stand_ins(kind: Any, config: Any, checkpoint: Checkpoint, main: torch.dtype) -> _Trace:
    stand_ins = {name: _stand_in(checkpoint, name, number, main) for number, name in enumerate(checkpoint.names())}
    model, report = load_state_dict(kind, config, dict(stand_ins), checkpoint.label, ignore_mismatched_sizes=True)
    problems = [
        f"{checkpoint.label}: tensor '{name}' is {list(stored)}, its config makes {kind.__name__} expect {list(expected)}."
        for name, stored, expected in sorted(report["mismatched_keys"], key=str)
    ]
    misshapen = {name for name, *_ in report["mismatched_keys"]}
    parameters = dict(model.named_parameters(remove_duplicate=False))
    unfilled = sorted(set(report["missing_keys"]) & set(parameters) - misshapen)
    if unfilled:
        problems.append(
            f"{checkpoint.label}: has no tensor for {_some(unfilled)} of {kind.__name__}, so random values would be judged. "
            "Was it saved without its head, or is it for another task?"
        )
    if problems:
        raise InputError(problems)
    homes = {tensor.data_ptr(): name for name, tensor in stand_ins.items() if tensor.numel()}
    sources = {}
    for name, tensor in model.state_dict().items():
        source = homes.get(tensor.data_ptr()) if tensor.numel() else None
        if source is not None and tensor.shape == stand_ins[source].shape and tensor.is_contiguous():
            sources[name] = source
    return _Trace(model, sources, set(report["missing_keys"]) - set(parameters))


def _stand_in(checkpoint: Checkpoint, name: str, number: int, main: torch.dtype) -> Tensor:
    """A tensor of the stored shape. Values differ, since tied weights that are in the files twice are tied only if equal."""
    import torch

    tensor = checkpoint.empty(name, 0)
    dtype = main if tensor.is_floating_point() else tensor.dtype
    return torch.full(checkpoint.info(name).shape, number % 97 + 1, dtype=dtype)


def main_dtype(config: Any, checkpoint: Checkpoint) -> torch.dtype:
    """The dtype that `from_pretrained` gives the model: the config's, else that of the first floating tensor in the files."""
    if getattr(config, "dtype", None) is not None:
        return config.dtype
    for name in checkpoint.names():
        if (tensor := checkpoint.empty(name, 0)).is_floating_point():
            return tensor.dtype
    raise InputError(f"{checkpoint.label}: has no floating-point tensor.")


def load_state_dict(
    kind: Any, config: Any, tensors: dict[str, Tensor], label: str, *, ignore_mismatched_sizes: bool = False
) -> tuple[Any, dict[str, Any]]:
    """Lets transformers load tensors as it loads files; returns (model, its report of what did not fit)."""
    try:
        with quiet_transformers():
            model, report = kind.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                output_loading_info=True,
                ignore_mismatched_sizes=ignore_mismatched_sizes,
            )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{label}: cannot be loaded as {kind.__name__} ({first_line(error)}).") from error
    return model, report


def _some(names: list[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names[:5])
    return quoted + (f" and {len(names) - 5} more" if len(names) > 5 else "")
