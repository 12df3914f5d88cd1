"""What a merge will do, known before any byte of weights is read: every file, tensor, offset, and every problem."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_soup.checkpoints.dtypes import code_of_name, name_of
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.adapter_health import adapter_problems, adapters_of
from hf_soup.merging.buffers import Buffers, buffers_of, reading_memory, stream_buffers_of
from hf_soup.merging.combination import Combination
from hf_soup.merging.compatibility import config_problems, config_warnings
from hf_soup.merging.ingredients import Ingredients
from hf_soup.merging.layers import layer_count
from hf_soup.merging.layout import Layout, lay_out
from hf_soup.merging.output import existing_parent, partial_path
from hf_soup.merging.plan_report import plan_as_json, plan_as_text
from hf_soup.merging.portions import portions_of
from hf_soup.merging.record import ARITHMETIC
from hf_soup.merging.slabs import (
    ahead_of,
    in_reading_order,
    remote_sources,
    slabs_of,
    spans_of,
    stream_problems,
    streamed_width,
)
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tensors import MergedTensor, Rule, match_tensors, with_shared
from hf_soup.merging.virtual import VirtualCheckpoint
from hf_soup.methods import MergeMethod, method_named
from hf_soup.ranks import cores

DEFAULT_SHARD_BYTES = 5_000_000_000
DEFAULT_MEMORY_BYTES = 256 * 2**20
OUTPUT_DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Plan:
    """`models`, per-model parameters and every tensor's sources stand in the order of the arithmetic.

    `given`: for each of the models its place in the order in which the user named them.
    """

    method: MergeMethod
    parameters: TensorParameters | None
    """None where they are among the problems."""
    models: tuple[StoredCheckpoint, ...]
    base: StoredCheckpoint | None
    donor: int | None
    given: tuple[int, ...]
    dtype: str | None
    tensors: tuple[MergedTensor, ...]
    layout: Layout
    shard_bytes: int
    workers: int
    memory_bytes: int
    """Peak of the buffers that the merge itself holds."""
    slab_elements: int | None
    slab_bytes: int
    """Of streamed models, see `hf_soup.merging.buffers`."""
    device: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    """Problems that the user may overrule with force: those of the adapters' weights."""

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
        return sum(self._bytes_to_read_of(tensor) for tensor in self.tensors)

    def _bytes_to_read_of(self, tensor: MergedTensor) -> int:
        if tensor.copied:
            return self.donor_checkpoint.info(tensor.source(self.donor)).nbytes
        total = sum(model.info(source).nbytes for model, source in zip(self.models, tensor.sources, strict=True))
        if self.method.needs_base and self.base is not None:
            total += self.base.info(tensor.source(None)).nbytes
        return total

    @property
    def streams(self) -> bool:
        """Whether any source is read over the network."""
        return any(source.streams for source in self.sources)

    @property
    def requests(self) -> int:
        """How many requests bring the weights of streamed models when none fails: of each file its place and its ranges."""
        if not self.streams or self.problems:
            return 0
        slabs = slabs_of(self, in_reading_order(self, portions_of(self)))
        return sum(
            source.request_count(spans_of(self, slabs, source)) + len(source.weights.paths)
            for source in remote_sources(self.sources)
        )

    @property
    def bytes_to_write(self) -> int:
        return self.layout.nbytes

    @property
    def bytes_to_download(self) -> int:
        files = {file: size for source in self.sources for file, size in source.files_to_download().items()}
        return sum(files.values())

    def combination(self) -> Combination:
        assert self.parameters is not None
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

    def identity(self) -> dict[str, Any]:
        """Everything that the bytes of the result depend on; the number of workers, processes and blocks is not in it."""
        layout = hashlib.sha256(b"".join(file.header for file in self.layout.files)).hexdigest()
        return {
            "arithmetic": ARITHMETIC,
            "method": self.method.name,
            "parameters": self.parameters.to_json() if self.parameters is not None else None,
            "ingredients": [model.identity for model in self.models],
            "base model": self.base.identity if self.base is not None else None,
            "donor of the config": self.donor,
            "layout": layout,
            "device": self.device.split(":")[0],
        }

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
    """Plans a merge. Reads headers and configs, no weights but those of adapters (and of a pickle, whose names are inside it).

    `parameters`: of the method, per-model ones in the order of `ingredients.models`; a Gradient or FilterRules in place of
    a value gives tensors different ones. `dtype`: "float32", "bfloat16",
    … for all floating tensors, None to keep each one's. `memory_bytes` bounds the buffers; `out`: the folder that will
    be written, for its disk space. `checks=False` skips what was already checked of these very models.
    All problems are in `Plan.problems`; InputError is raised only for an unknown method or dtype.
    """
    found = method_named(method)
    code = code_of_name(dtype) if dtype is not None else None
    if dtype is not None and dtype not in OUTPUT_DTYPES:
        raise InputError(f"The output dtype '{dtype}' is not one of {', '.join(OUTPUT_DTYPES)}.")
    problems: list[str] = []
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
    bound = None
    combined = [tensor.info.name for tensor in tensors if tensor.rule is Rule.COMBINE]
    layers = layer_count(ingredients.donor.config)
    try:
        bound = TensorParameters.bind(found, len(models), parameters or {}, combined, layers)
    except InputError as error:
        problems += error.problems
    else:
        tensors = with_shared(tensors, models, base, found, bound)
    order = list(range(len(models)))
    if found.commutative:
        order.sort(key=lambda index: models[index].fingerprint)
    buffers = _buffers(found, tensors, models, base, memory_bytes, workers or cores(), device)
    problems += [*buffers.problems, *stream_problems([*models, *([base] if base is not None else [])])]
    plan = Plan(
        method=found,
        parameters=bound.permuted(order) if bound is not None else None,
        models=tuple(models[i] for i in order),
        base=base,
        donor=order.index(0) if base is None else None,
        given=tuple(order),
        dtype=dtype,
        tensors=tuple(tensor.permuted(order) for tensor in tensors),
        layout=lay_out([tensor.info for tensor in tensors], shard_bytes),
        shard_bytes=shard_bytes,
        workers=buffers.workers,
        memory_bytes=buffers.nbytes,
        slab_elements=buffers.slab_elements,
        slab_bytes=buffers.slab_bytes,
        device=device,
        problems=(),
        warnings=tuple(config_warnings(checked) if checks else ()),
        doubts=tuple(adapter_problems(adapters_of(ingredients.all())) if checks else ()),
    )
    return plan.with_problems([*problems, *_disk_problems(plan, out)])


def _buffers(
    method: MergeMethod,
    tensors: Sequence[MergedTensor],
    models: Sequence[StoredCheckpoint],
    base: StoredCheckpoint | None,
    memory_bytes: int,
    workers: int,
    device: str,
) -> Buffers:
    sources = [*models, *([base] if base is not None else [])]
    remote, reading = remote_sources(sources), reading_memory(sources)
    if not remote:
        return buffers_of(method, tensors, len(models), memory_bytes, workers, device, reading)
    streamed = [streamed_width(sources, tensor) for tensor in tensors]
    ahead = ahead_of(len(remote))
    return stream_buffers_of(
        method,
        tensors,
        len(models),
        [width for width, _ in streamed],
        memory_bytes,
        workers,
        device,
        stream_bytes=sum(source.span_stream([], ahead=ahead).buffered_bytes for source in remote),
        rest_bytes=max((rest for _, rest in streamed), default=0),
        reading=reading,
    )


def _disk_problems(plan: Plan, out: Path | None) -> list[str]:
    """Counts what is still to be downloaded together with the result where both go to one disk."""
    needs: dict[Path, int] = {}
    if out is not None:
        out = out.expanduser()
        if (place := existing_parent(out)) is None:
            return []  # said by the check of the output
        begun = sum(_on_disk(partial_path(out) / file.name) for file in plan.layout.files)
        needs[place] = max(0, plan.bytes_to_write - begun)
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


def _on_disk(path: Path) -> int:
    """What a file of an unfinished merge has of the disk already."""
    if not path.is_file():
        return 0
    stat = path.stat()
    return int(getattr(stat, "st_blocks", stat.st_size / 512) * 512)
