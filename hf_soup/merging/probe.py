"""Do the models share an ancestor? A look at a sample of the weights, before work that would otherwise be wasted.

A soup of unrelated models gives chance accuracy without any error. Cosines of raw matrices separate relatives from
strangers without overlap (measured on MiniLM: relatives ≥ 0.92 even with absurd learning rates, strangers |cos| < 0.05);
those of vectors do not (LayerNorm gains of strangers: 0.99), so vectors and embeddings are left out.

From models that are streamed it takes a few long spans instead of many short ones, since each span is a request there;
whether two of them are the same is then told by the Hub's digests too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.merging.compatibility import label_names
from hf_soup.merging.plan import Plan
from hf_soup.merging.slabs import remote_of, remote_sources, remote_span
from hf_soup.merging.tensors import MergedTensor, Rule

MAX_BYTES = 16 * 2**20
"""Read from each model at most."""
RELATED = 0.5
"""Median cosine above which two models count as relatives; nothing was seen between 0.1 and 0.9."""
_MATRICES = 64
_SPANS = 4
_SPAN_ELEMENTS = 4_096
_GLANCE = 256
_STREAMED_MATRICES = 6
_STREAMED_HEADS = 2
_STREAMED_ELEMENTS = 65_536


@dataclass(frozen=True)
class _Look:
    """Elements of one tensor to compare, the same in every model."""

    tensor: MergedTensor
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Looks:
    """`glances`: vectors and embeddings, which say nothing of ancestry; but a model may differ in nothing else."""

    body: tuple[_Look, ...]
    heads: tuple[_Look, ...]
    glances: tuple[_Look, ...]

    @property
    def all(self) -> tuple[_Look, ...]:
        return (*self.body, *self.heads, *self.glances)


@dataclass(frozen=True)
class Probe:
    """`cosines`: median over the sampled matrices, shape [models, models]; the base, where there is one, comes last.

    `head_cosines`: the same for the head alone, None where no head was found. `problems` can be overruled by the user.
    """

    labels: tuple[str, ...]
    cosines: NDArray[np.float64]
    head_cosines: NDArray[np.float64] | None
    bytes_read: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def probe(plan: Plan, base: Checkpoint | None = None) -> Probe:
    """Samples at most 16 MiB of each model and compares all pairs. Weights must be on this disk, or be streamed.

    `base`: the pre-trained model, where the plan's method does not need it; it may lack tensors, such as the head.
    """
    base = plan.base or base
    readers: Sequence[Checkpoint] = [*plan.models, *([base] if base is not None else [])]
    labels = tuple(reader.label for reader in readers)
    budget = _Budget(MAX_BYTES)
    problems: list[str] = []
    identical = np.ones((len(readers), len(readers)), dtype=bool)
    with ExitStack() as stack:
        looks = _looks(plan)
        streamed = remote_sources(readers)
        if not all(remote.can_hold(_asked(looks, plan, readers, remote)) for remote in streamed):
            looks = _few_looks(plan)
            identical &= _equal_fingerprints(readers)
        for remote in streamed:
            stack.enter_context(remote.hold(_asked(looks, plan, readers, remote)))
        body = [_compare(look, readers, budget, identical, problems) for look in looks.body]
        head = [_compare(look, readers, budget, identical, problems) for look in looks.heads]
        for look in looks.glances:
            _compare(look, readers, budget, identical, problems)
        copies = _different_copies(plan)
    cosines = _median(body) if body else np.ones_like(identical, dtype=np.float64)
    head_cosines = _median(head) if head else None
    models = len(plan.models)
    problems += _strangers(readers, labels, cosines) if body else []
    problems += _duplicates(labels[:models], identical)
    problems += copies
    problems += [p for model in readers if isinstance(model, AdapterCheckpoint) for p in model.adapter.problems()]
    warnings = _untrained(labels, identical) if base is not None else []
    if head_cosines is not None:
        warnings += _different_heads(labels[:models], head_cosines)
    return Probe(labels, cosines, head_cosines, budget.spent, tuple(dict.fromkeys(problems)), tuple(warnings))


def _looks(plan: Plan) -> _Looks:
    heads, matrices = _heads_and_matrices(plan)
    chosen = _spread(matrices, _MATRICES)
    looked_at = {tensor.info.name for tensor in [*chosen, *heads]}
    others = [t for t in plan.tensors if t.rule is Rule.COMBINE and t.info.name not in looked_at]
    return _Looks(
        tuple(_Look(tensor, _spans(tensor.info.numel)) for tensor in chosen),
        tuple(_Look(tensor, _spans(tensor.info.numel)) for tensor in heads),
        tuple(_Look(tensor, ((0, min(_GLANCE, tensor.info.numel)),)) for tensor in others),
    )


def _few_looks(plan: Plan) -> _Looks:
    """One span of each of a few matrices, spread over the depth: as many requests as a streamed model may take."""
    heads, matrices = _heads_and_matrices(plan)
    return _Looks(
        tuple(_Look(tensor, _middle(tensor.info.numel)) for tensor in _spread(matrices, _STREAMED_MATRICES)),
        tuple(_Look(tensor, _middle(tensor.info.numel)) for tensor in heads[:_STREAMED_HEADS]),
        (),
    )


def _heads_and_matrices(plan: Plan) -> tuple[list[MergedTensor], list[MergedTensor]]:
    heads = [tensor for tensor in plan.tensors if _is_head(tensor, plan)]
    return heads, [tensor for tensor in plan.tensors if _is_body_matrix(tensor) and tensor not in heads]


def _asked(
    looks: _Looks, plan: Plan, readers: Sequence[Checkpoint], remote: RemoteCheckpoint
) -> list[tuple[str, int, int]]:
    """What will be read of one streamed checkpoint, by itself or over it; tensors that are copied are compared as a whole."""
    copies = tuple(_Look(t, ((0, t.info.numel),)) for t in plan.tensors if t.rule is Rule.COPY)
    asked = (
        remote_span(reader, _sources(look.tensor)[index], start, stop)
        for look in (*looks.all, *copies)
        for index, reader in enumerate(_holders(look.tensor, readers))
        if remote_of(reader) is remote
        for start, stop in look.spans
    )
    return [*dict.fromkeys(span for span in asked if span is not None)]


def _equal_fingerprints(readers: Sequence[Checkpoint]) -> NDArray[np.bool_]:
    found = [reader.fingerprint for reader in readers]
    return np.array([[one == other for other in found] for one in found], dtype=bool)


class _Budget:
    """Bytes that one model may still give; every model is asked for the same spans."""

    def __init__(self, nbytes: int) -> None:
        self.total = nbytes
        self.spent = 0

    def grants(self, nbytes: int) -> bool:
        if self.spent + nbytes > self.total:
            return False
        self.spent += nbytes
        return True


def _compare(
    look: _Look,
    readers: Sequence[Checkpoint],
    budget: _Budget,
    identical: NDArray[np.bool_],
    problems: list[str],
) -> NDArray[np.float64] | None:
    """Returns the cosines of all pairs on a sample of one tensor; notes identity, NaN and zeros on the way.

    NaN in the row and column of a base that lacks the tensor.
    """
    import torch

    tensor, spans = look.tensor, look.spans
    everybody, readers = len(readers), _holders(tensor, readers)
    sources = _sources(tensor)[: len(readers)]
    infos = [reader.info(source) for reader, source in zip(readers, sources, strict=True)]
    width = max(info.nbytes // max(1, info.numel) for info in infos)
    if not budget.grants(sum(stop - start for start, stop in spans) * width):
        return None
    rows = []
    for reader, source in zip(readers, sources, strict=True):
        pieces = [reader.read_span(source, start, stop) for start, stop in spans]
        rows.append(torch.cat(pieces).to(torch.float64).numpy())
    sample = np.stack(rows)
    for reader, row in zip(readers, sample, strict=True):
        if not np.isfinite(row).all():
            problems.append(
                f"{reader.label}: tensor '{tensor.info.name}' holds NaN or infinity; leave this model out."
            )
    norms = np.linalg.norm(sample, axis=1)
    if len(tensor.info.shape) >= 2 and norms.any() and not norms.all() and _is_body_matrix(tensor):
        empty = ", ".join(reader.label for reader, norm in zip(readers, norms, strict=True) if norm == 0)
        problems.append(
            f"Tensor '{tensor.info.name}' is zero in {empty} and not in the others; that model is damaged."
        )
    for i in range(len(readers)):
        for j in range(i):
            if identical[i, j] and not np.array_equal(sample[i], sample[j]):
                identical[i, j] = identical[j, i] = False
    if not np.isfinite(norms).all() or not norms.all():
        return None
    unit = sample / norms[:, None]
    cosines = np.full((everybody, everybody), np.nan)
    cosines[: len(readers), : len(readers)] = unit @ unit.T
    return cosines


def _sources(tensor: MergedTensor) -> list[str]:
    """Its name in every model and, last, in the base."""
    return [*tensor.sources, tensor.base_source or tensor.info.name]


def _holders(tensor: MergedTensor, readers: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """The models, and the base after them if it has this tensor in this shape."""
    if len(readers) == len(tensor.sources):
        return readers
    base, name = readers[-1], tensor.base_source or tensor.info.name
    try:
        fits = base.info(name).shape == tensor.info.shape
    except KeyError:
        fits = False
    return readers if fits else readers[:-1]


def _median(cosines: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    known = [c for c in cosines if c is not None]
    if not known:
        return np.ones((0, 0))
    stacked = np.stack(known)
    # A base that shares no matrix by name and shape with its fine-tunes cannot be compared and is not held against them.
    return np.nanmedian(np.where(np.isnan(stacked).all(axis=0), 1.0, stacked), axis=0)


def _spans(numel: int) -> tuple[tuple[int, int], ...]:
    """Up to four spans spread over a flattened tensor; the whole of a small one."""
    if numel <= _SPANS * _SPAN_ELEMENTS:
        return ((0, numel),)
    step = (numel - _SPAN_ELEMENTS) // (_SPANS - 1)
    return tuple((i * step, i * step + _SPAN_ELEMENTS) for i in range(_SPANS))


def _middle(numel: int) -> tuple[tuple[int, int], ...]:
    """One long span in the middle of a flattened tensor; the whole of a small one."""
    count = min(numel, _STREAMED_ELEMENTS)
    start = (numel - count) // 2
    return ((start, start + count),)


def _spread(tensors: list[MergedTensor], count: int) -> list[MergedTensor]:
    if len(tensors) <= count:
        return tensors
    return [tensors[i * len(tensors) // count] for i in range(count)]


def _is_body_matrix(tensor: MergedTensor) -> bool:
    return (
        tensor.rule is Rule.COMBINE
        and len(tensor.info.shape) >= 2
        and min(tensor.info.shape[:2]) > 1
        and "embed" not in tensor.info.name
    )


def _is_head(tensor: MergedTensor, plan: Plan) -> bool:
    """The matrix with one row per class. Language models have none: their output matrix is pre-trained."""
    names = label_names(plan.donor_checkpoint.config)
    return bool(names) and _is_rows_of(tensor, len(names or []))


def _is_rows_of(tensor: MergedTensor, classes: int) -> bool:
    name = tensor.info.name
    named = name.split(".")[0] in ("classifier", "score", "head", "fc", "logits_proj", "classification_head")
    return (
        tensor.rule is Rule.COMBINE
        and len(tensor.info.shape) == 2
        and tensor.info.shape[0] == classes
        and (named or name.endswith(("classifier.weight", "out_proj.weight", "classifier.1.weight")))
    )


def _strangers(readers: Sequence[Checkpoint], labels: Sequence[str], cosines: NDArray[np.float64]) -> list[str]:
    if not cosines.size:
        return []
    # Adapters of one base are relatives whatever they add to it.
    roots = [reader.base if isinstance(reader, AdapterCheckpoint) else reader for reader in readers]
    groups: list[set[int]] = []
    for index in range(len(labels)):
        near = [
            group
            for group in groups
            if any(cosines[index, other] >= RELATED or roots[index] is roots[other] for other in group)
        ]
        merged = {index}.union(*near)
        groups = [group for group in groups if group not in near] + [merged]
    if len(groups) == 1:
        return []
    highest = max(cosines[i, j] for a in groups for b in groups if a is not b for i in a for j in b)
    shown = " | ".join(", ".join(labels[i] for i in sorted(group)) for group in groups)
    return [
        f"These models do not come from one pre-trained model (cosine of their matrices at most {highest:.2f}, relatives "
        f"have above {RELATED}): {shown}. Their average would be at chance; leave the strangers out, or pass --force."
    ]


def _duplicates(labels: Sequence[str], identical: NDArray[np.bool_]) -> list[str]:
    return [
        f"{labels[i]} holds the same weights as {labels[j]} in everything that was sampled; name each ingredient once "
        "and give it a weight instead, or pass --force."
        for i in range(len(labels))
        for j in range(i)
        if identical[i, j]
    ]


def _untrained(labels: Sequence[str], identical: NDArray[np.bool_]) -> list[str]:
    last = len(labels) - 1
    return [f"{labels[i]} is an untrained copy of the base {labels[last]}." for i in range(last) if identical[i, last]]


def _different_heads(labels: Sequence[str], cosines: NDArray[np.float64]) -> list[str]:
    far = [(i, j) for i in range(len(labels)) for j in range(i) if cosines.size and cosines[i, j] < RELATED]
    if not far:
        return []
    i, j = min(far, key=lambda pair: cosines[pair])
    return [
        f"The heads did not start from one head (cosine {cosines[i, j]:.2f} between {labels[i]} and {labels[j]}): "
        "averaging them has been seen to cost nothing and to cost ten points; let held-out data decide."
    ]


def _different_copies(plan: Plan) -> list[str]:
    """Integer and bool tensors are copied, so they must agree; BatchNorm's step counter may differ."""
    import torch

    problems = []
    for tensor in plan.tensors:
        name = tensor.info.name
        if tensor.rule is not Rule.COPY or name.endswith("num_batches_tracked"):
            continue
        first = plan.models[0].read(tensor.sources[0])
        others: list[tuple[Checkpoint, str]] = list(zip(plan.models[1:], tensor.sources[1:], strict=True))
        if plan.base is not None:
            others.append((plan.base, str(tensor.base_source)))
        for model, source in others:
            if not torch.equal(first, model.read(source)):
                problems.append(
                    f"Tensor '{name}' ({tensor.info.dtype}) differs between {plan.models[0].label} and {model.label}; "
                    "integers cannot be averaged."
                )
    return problems
