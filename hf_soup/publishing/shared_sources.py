"""Whether all ingredients have what a record calls shared: then a copy of one of them is what their average is."""

from __future__ import annotations

from collections.abc import Iterator

from hf_soup.checkpoints import Checkpoint
from hf_soup.merging.virtual import VirtualCheckpoint

_SPAN_ELEMENTS = 1 << 20


def unequal_sources(derived: VirtualCheckpoint) -> Iterator[str]:
    """Yields a sentence for each tensor that is copied as shared, and that another ingredient has otherwise.

    Only what comes from several places is read: two ingredients over one base have its tensors from one.
    """
    shared = [tensor for tensor in derived.tensors.values() if tensor.shared]
    if not shared:
        return
    combination = derived.combination
    first, known = combination.donor_checkpoint, combination.donor_checkpoint.origins()
    places: list[tuple[int | None, Checkpoint]] = [*enumerate(combination.models)]
    if combination.base is not None:
        places.append((None, combination.base))
    origins = [(place, model, model.origins()) for place, model in places]
    for tensor in shared:
        ours = tensor.source(combination.donor)
        for place, model, found in origins:
            theirs = tensor.source(place)
            if found[theirs] != known[ours] and not _equal(first, ours, model, theirs):
                yield (
                    f"soup.json says that all ingredients share '{tensor.info.name}'; that of {model.label} is not that of "
                    f"{first.label}."
                )
                break


def _equal(one: Checkpoint, name: str, other: Checkpoint, others_name: str) -> bool:
    import torch

    info, others = one.info(name), other.info(others_name)
    if (info.dtype, info.shape) != (others.dtype, others.shape):
        return False
    for start in range(0, info.numel, _SPAN_ELEMENTS):
        stop = min(start + _SPAN_ELEMENTS, info.numel)
        ours, theirs = one.read_span(name, start, stop), other.read_span(others_name, start, stop)
        if not torch.equal(ours.view(torch.uint8), theirs.view(torch.uint8)):
            return False
    return True
