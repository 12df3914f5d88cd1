"""What the folder of a member says for this machine alone: which models its weights were copied or trained from.

The folder may become a member of other ensembles, and who may have those models decides who may have it. The file's name begins with
a dot, so that it is never published; names that may be public go into the record of the ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hf_soup.checkpoints import AdapterCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError
from hf_soup.merging.record import IngredientRecord

TRAINED_FROM = ".hf_soup_trained_from.json"
_MODELS = TypeAdapter(list[IngredientRecord])


def write_trained_from(folder: Path, models: Sequence[IngredientRecord]) -> None:
    """Writes those of the models that are on the Hub, or over a base there."""
    named = [one for one in models if one.repo_id or (one.adapter_of is not None and one.adapter_of.repo_id)]
    (folder / TRAINED_FROM).write_bytes(_MODELS.dump_json(named, indent=2))


def trained_from(checkpoint: StoredCheckpoint) -> list[IngredientRecord]:
    """Returns the models that this one, or the base that it adapts, was copied or trained from; none where its folder says nothing.

    Raises InputError for a file that cannot be read as what was written.
    """
    found = trained_from(checkpoint.base) if isinstance(checkpoint, AdapterCheckpoint) else []
    place = checkpoint.folder.ref.path
    if place is None or not (place / TRAINED_FROM).is_file():
        return found
    try:
        return [*_MODELS.validate_json((place / TRAINED_FROM).read_bytes()), *found]
    except ValidationError as error:
        raise InputError(
            f"{place / TRAINED_FROM}: is damaged, so that it is not known which models these weights were trained from; fine-tune again."
        ) from error
