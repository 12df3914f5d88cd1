"""Deriving a published merge again: the record says how, the ingredients come from their pinned commits, and every
tensor is compared with what was published. Digests in soup.json are compared too, but prove nothing."""

from __future__ import annotations

from hf_soup.checkpoints import open_checkpoint
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.merging.record import RECORD_NAME, SoupRecord
from hf_soup.publishing.card_check import card_contradictions
from hf_soup.publishing.card_tables import adapter_base_table, ingredient_table
from hf_soup.publishing.places import Places
from hf_soup.publishing.recorded_ingredients import digest_contradictions, open_recorded
from hf_soup.publishing.shared_sources import unequal_sources
from hf_soup.publishing.side_comparison import compare_digests, compare_layout, compare_side_files
from hf_soup.publishing.tensor_comparison import compare_tensors
from hf_soup.publishing.verdict import Bar, Verification


def verify_merge(folder: ModelFolder, places: Places, progress: Bar) -> Verification:
    """Computes a merge's weights again and compares them with those in `folder`; raises what `verify` raises."""
    from hf_soup.merging.derive import derive
    from hf_soup.methods import method_named

    record = SoupRecord.read(folder.local_path(RECORD_NAME))
    published = open_checkpoint(folder.ref, token=places.token, cache_dir=places.cache_dir)
    models = open_recorded(record, places)
    whole = not method_named(record.method).elementwise
    derived = derive(record, models.models, models.base)
    donor = models.base if record.donor is None else models.models[record.donor]
    assert donor is not None
    for model in (published, *models.all()):
        model.fetch()
    total = sum(derived.info(name).nbytes for name in derived.names())
    with progress("Comparing", total) as advance:
        tensors = compare_tensors(published, derived, whole_tensors=whole, progress=advance)
    files = [
        *compare_layout(published, derived, record),
        *compare_side_files(published.folder, donor, derived),
        *compare_digests(published.folder, record.outputs),
    ]
    tables = {"ingredients, commits and weights": ingredient_table(record)}
    if bases := adapter_base_table(record):
        tables["the adapters' base"] = bases
    named = {one.repo_id for one in record.ingredients if one.repo_id}
    return Verification(
        target=published.label,
        ingredients=tuple(model.label for model in models.all()),
        device=record.device,
        tensors=tuple(tensors),
        files=tuple(files),
        contradictions=(
            *digest_contradictions(models.records(record)),
            *unequal_sources(derived),
            *card_contradictions(published.folder, tables, named),
        ),
    )
