"""What a merge will do, known before any byte of weights is read: every file, tensor, offset, and every problem."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_soup.checkpoints.dtypes import code_of_name, name_of
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.combination import BLOCK_ELEMENTS, Combination
from hf_soup.merging.compatibility import config_problems, config_warnings
from hf_soup.merging.ingredients import Ingredients
from hf_soup.merging.layout import Layout, lay_out
from hf_soup.merging.output import existing_parent
from hf_soup.merging.plan_report import plan_as_json, plan_as_text
from hf_soup.merging.tensors import MergedTensor, Rule, match_tensors
from hf_soup.merging.virtual import VirtualCheckpoint
from hf_soup.methods import MergeMethod, method_named

DEFAULT_SHARD_BYTES = 5_000_000_000
DEFAULT_MEMORY_BYTES = 256 * 2**20
_SMALLEST_BLOCK = 1_024
OUTPUT_DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Plan:
    """`models`, per-model parameters and every tensor's sources stand in the order of the arithmetic.

    `given`: for each of the models its place in the order in which the user named them.
    """

    method: MergeMethod
    parameters: dict[str, Any]
    models: tuple[StoredCheckpoint, ...]
    base: StoredCheckpoint | None
    donor: int | None
    given: tuple[int, ...]
    dtype: str | None
    tensors: tuple[MergedTensor, ...]
    layout: Layout
    shard_bytes: int
    workers: int
    block_elements: int
    memory_bytes: int
    """Peak of the buffers that the merge itself holds."""
    device: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def donor_checkpoint(self) -> StoredCheckpoint:
        if self.donor is not None:
            return self.models[self.donor]
        assert self.base is not None
        return self.base

    @property
    def sources(self) -> tuple[StoredCheckpoint, ...]:
        return self.models if self.base is None else (*self.models, self.base)

    @property
    def bytes_to_read(self) -> int:
        total = sum(
            model.info(source).nbytes
            for tensor in self.tensors
            for model, source in zip(self.models, tensor.sources, strict=True)
        )
        if self.method.needs_base and self.base is not None:
            total += sum(self.base.info(str(tensor.base_source)).nbytes for tensor in self.tensors)
        return total

    @property
    def bytes_to_write(self) -> int:
        return self.layout.nbytes

    @property
    def bytes_to_download(self) -> int:
        return sum(source.bytes_to_download() for source in self.sources)

    def combination(self) -> Combination:
        return Combination(self.method, self.parameters, self.models, self.base, self.donor, self.device)

    def virtual(self) -> VirtualCheckpoint:
        """The result as a checkpoint that is computed on read, for evaluation before anything is written."""
        return VirtualCheckpoint(self.combination(), self.tensors, self.output_config(), self.donor_checkpoint, self)

    def output_config(self) -> dict[str, Any]:
        """The donor's config with the dtype that the result has, where the merge changes it."""
        config = dict(self.donor_checkpoint.config)
        config.pop("_name_or_path", None)  # where the donor once lay: a path of its author's machine, or another name
        codes = {tensor.info.dtype for tensor in self.tensors if tensor.rule is Rule.COMBINE}
        if len(codes) == 1 and config:
            dtype = name_of(next(iter(codes)))
            for key in ("dtype", "torch_dtype"):
                if isinstance(config.get(key), str):
                    config[key] = dtype
            if self.dtype is not None and not {"dtype", "torch_dtype"} & set(config):
                config["dtype"] = dtype
        return config

    def to_json(self) -> dict[str, Any]:
        return plan_as_json(self)

    def __str__(self) -> str:
        return plan_as_text(self)

    def with_problems(self, problems: Sequence[str]) -> Plan:
        """The same plan with these problems as well."""
        return replace(self, problems=tuple(dict.fromkeys((*problems, *self.problems))))

    def raise_problems(self) -> None:
        """Raises InputError with all problems, if there are any."""
        if self.problems:
            raise InputError(self.problems)


def make_plan(
    ingredients: Ingredients,
    method: str = "linear",
    parameters: dict[str, Any] | None = None,
    *,
    dtype: str | None = None,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    device: str = "cpu",
    workers: int | None = None,
    out: Path | None = None,
    checks: bool = True,
) -> Plan:
    """Plans a merge. Reads headers and configs, never weights (of a pickle, whose names are inside it, the file).

    `parameters`: of the method, per-model ones in the order of `ingredients.models`. `dtype`: "float32", "bfloat16",
    … for all floating tensors, None to keep each one's. `memory_bytes` bounds the buffers; `out`: the folder that will
    be written, for its disk space. `checks=False` skips what was already checked of these very models.
    All problems are in `Plan.problems`; InputError is raised only for an unknown method or dtype.
    """
    found = method_named(method)
    code = code_of_name(dtype) if dtype is not None else None
    if dtype is not None and dtype not in OUTPUT_DTYPES:
        raise InputError(f"The output dtype '{dtype}' is not one of {', '.join(OUTPUT_DTYPES)}.")
    problems: list[str] = []
    bound: dict[str, Any] = {}
    try:
        bound = found.bind(len(ingredients.models), parameters or {})
    except InputError as error:
        problems += error.problems
    if found.needs_base and ingredients.base is None:
        problems.append(f"The method {method} needs a base model; name the pre-trained one with --base.")
    models = ingredients.models
    # A method without task vectors reads nothing of the base, which may well be of another class than its fine-tunes.
    base = ingredients.base if found.needs_base else None
    checked = [*models, *([base] if base is not None else [])]
    if checks:
        problems += config_problems(models)
        if base is not None:
            problems += [p for p in config_problems(checked) if p not in problems and "equal digests" not in p]
    tensors, unmatched = match_tensors(models, base, code)
    problems += unmatched
    order = list(range(len(models)))
    if found.commutative:
        order.sort(key=lambda index: models[index].fingerprint)
    bound = {
        name: [value[i] for i in order] if name in found.per_model and len(value) == len(order) else value
        for name, value in bound.items()
    }
    workers = workers or min(8, os.cpu_count() or 1)
    block, peak, too_large = _blocks(found, tensors, models, memory_bytes, workers)
    problems += too_large
    plan = Plan(
        method=found,
        parameters=bound,
        models=tuple(models[i] for i in order),
        base=base,
        donor=order.index(0) if base is None else None,
        given=tuple(order),
        dtype=dtype,
        tensors=tuple(tensor.permuted(order) for tensor in tensors),
        layout=lay_out([tensor.info for tensor in tensors], shard_bytes),
        shard_bytes=shard_bytes,
        workers=workers,
        block_elements=block,
        memory_bytes=peak,
        device=device,
        problems=(),
        warnings=tuple(config_warnings(checked) if checks else ()),
    )
    return plan.with_problems([*problems, *_disk_problems(plan, out)])


def _blocks(
    method: MergeMethod,
    tensors: Sequence[MergedTensor],
    models: Sequence[StoredCheckpoint],
    memory_bytes: int,
    workers: int,
) -> tuple[int, int, list[str]]:
    """Returns elements per block, peak bytes of all workers' buffers, and problems."""
    wide = 8 if any(tensor.info.dtype == "F64" for tensor in tensors) else 4
    # Stored block and widened block of every model, and three of the accumulator's size: result, product, cast.
    per_element = (len(models) + 1) * 2 * wide + 3 * wide
    if method.elementwise:
        block = min(BLOCK_ELEMENTS, memory_bytes // (workers * per_element))
        if block >= _SMALLEST_BLOCK:
            return block, block * per_element * workers, []
        need = _SMALLEST_BLOCK * per_element * workers
        problem = f"The memory budget of {memory_bytes:,} bytes is too small for {len(models)} models; give at least {need:,}."
        return _SMALLEST_BLOCK, need, [problem]
    largest = max(tensors, key=lambda tensor: tensor.info.numel, default=None)
    need = largest.info.numel * per_element if largest else 0
    if largest and need > memory_bytes:
        problem = (
            f"The method {method.name} needs whole tensors: '{largest.info.name}' takes {need:,} bytes, the budget is "
            f"{memory_bytes:,}; raise --memory."
        )
        return BLOCK_ELEMENTS, need, [problem]
    return BLOCK_ELEMENTS, need, []


def _disk_problems(plan: Plan, out: Path | None) -> list[str]:
    """Counts what is still to be downloaded together with the result where both go to one disk."""
    needs: dict[Path, int] = {}
    if out is not None:
        if (place := existing_parent(out)) is None:
            return []  # said by the check of the output
        needs[place] = plan.bytes_to_write
    download = plan.bytes_to_download
    if download:
        from huggingface_hub import constants

        folder = next((c for c in (getattr(s.folder, "cache_dir", None) for s in plan.sources) if c), None)
        cache = existing_parent(Path(folder or constants.HF_HUB_CACHE) / "models") or Path.cwd()
        same = next((place for place in needs if place.stat().st_dev == cache.stat().st_dev), cache)
        needs[same] = needs.get(same, 0) + download
    problems = []
    for place, need in needs.items():
        free = shutil.disk_usage(place).free
        if need > free:
            problems.append(f"The disk of {place} has {free:,} bytes free; {need:,} are needed for weights.")
    return problems
