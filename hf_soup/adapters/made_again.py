"""The recorded work once more: the same function, with what the record says instead of what a user says."""

from __future__ import annotations

from pathlib import Path

from hf_soup.adapters.combine import combine_adapters
from hf_soup.adapters.common_base import is_local
from hf_soup.adapters.extract import extract_adapter
from hf_soup.adapters.record import AdapterRecord
from hf_soup.adapters.write import MadeAdapter
from hf_soup.checkpoints import ModelRef, PinnedRef
from hf_soup.publishing.places import Places


def made_again(record: AdapterRecord, places: Places, out: Path) -> MadeAdapter:
    """Writes the recorded adapter to `out`. Raises what `combine_adapters` and `extract_adapter` raise."""
    if record.form == "extract":
        return _extracted(record, places, out)
    return combine_adapters(
        [_reference(places.of(one)) for one in record.ingredients],
        record.weights,
        out=out,
        as_=record.form,
        rank=record.asked_rank,
        energy=record.asked_energy,
        normalize=False,
        base=_base(record, places),
        force=True,  # whoever made it has seen the warnings
        token=places.token,
        cache_dir=places.cache_dir,
    )


def _extracted(record: AdapterRecord, places: Places, out: Path) -> MadeAdapter:
    tuned, base = (_reference(places.of(one)) for one in record.ingredients)
    return extract_adapter(
        tuned,
        base,
        out=out,
        rank=record.asked_rank,
        energy=record.asked_energy,
        full=record.full,
        token=places.token,
        cache_dir=places.cache_dir,
    )


def _base(record: AdapterRecord, places: Places) -> str | Path | ModelRef | None:
    """The base that was named; None, so that the adapters are asked, where it was a folder that only its author has."""
    if record.base_record is not None:
        return _reference(places.of(record.base_record))
    if record.base.name is None:
        return None
    if is_local(record.base):
        return Path(record.base.name) if Path(record.base.name).is_dir() else None
    return ModelRef(record.base.name, repo_id=record.base.name, revision=record.base.revision)


def _reference(place: str | Path | PinnedRef) -> str | Path | ModelRef:
    """Of a pinned model not as text, which might also be the name of a folder here."""
    if not isinstance(place, PinnedRef):
        return place
    return ModelRef(place.label, repo_id=place.repo_id, revision=place.revision, subfolder=place.subfolder)
