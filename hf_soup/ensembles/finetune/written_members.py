"""Trained members as ordinary folders of the Hub, all of them or none."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.finetune.trained_from import write_trained_from
from hf_soup.ensembles.finetune.trained_member import TrainedMember
from hf_soup.ensembles.record import FineTuningRecord
from hf_soup.errors import SoupError
from hf_soup.evaluation.labels import class_names
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.merging.output import partial_folder
from hf_soup.publishing.front_matter import join_front_matter
from hf_soup.publishing.ingredient_cards import CARD_NAME, IngredientCard, load_card

_LEGAL = ("license", "licence", "notice")
_SHARD = "5GB"


def write_members(members: Mapping[str, TrainedMember], out: Path, record: FineTuningRecord) -> dict[str, Path]:
    """Writes a folder for each member below `out`, which gets its name when all are complete; returns them by member.

    `record`: how they came about, for their cards. Raises InputError when `out` cannot be made, SoupError when the disk is full.
    """
    places, how = _places(members), record.sentence()
    with partial_folder(out, {"fine-tuning": how, "members": list(members)}, fresh=True) as (folder, _):
        for name, member in members.items():
            _write(member, folder / places[name], how)
            write_trained_from(folder / places[name], [record.starts[name], *record.origins])
    target = out.expanduser().resolve()
    return {name: target / place for name, place in places.items()}


def _write(trained: TrainedMember, folder: Path, how: str) -> None:
    """Weights by transformers, with the names that files have; the files beside them as they were, config.json with the labels."""
    checkpoint = trained.member.checkpoint
    assert isinstance(checkpoint, StoredCheckpoint)
    model = trained.as_stored()
    with quiet_transformers():
        model.save_pretrained(folder, max_shard_size=_SHARD)
    beside = {path: checkpoint.side_folder() / path for path in checkpoint.side_files()}
    legal = [path for path in checkpoint.folder.files if path.lower().startswith(_LEGAL)]
    if legal:
        checkpoint.folder.fetch(legal)
    beside |= {path: checkpoint.folder.local_path(path) for path in legal}
    for path, source in beside.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / path)
    config = _config(trained, type(model).__name__)
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD_NAME).write_text(_readme(trained, _card(checkpoint), how), encoding="utf-8")


def _config(trained: TrainedMember, architecture: str) -> dict[str, Any]:
    """As it was, with what the user says that the classes mean in place of names such as LABEL_0."""
    config = {"architectures": [architecture], **trained.member.checkpoint.config}
    called = trained.member.called
    if called:
        names = [called.get(name, name) for name in class_names(config)]
        config["id2label"] = {str(place): name for place, name in enumerate(names)}
        config["label2id"] = {name: place for place, name in enumerate(names)}
    return config


def _readme(trained: TrainedMember, card: IngredientCard, how: str) -> str:
    ref = trained.member.ref
    start = ref.repo_id if ref is not None else None
    fields: dict[str, Any] = {
        "base_model": start,
        "base_model_relation": "finetune" if start else None,
        "library_name": "transformers",
        "pipeline_tag": card.pipeline_tag,
        "language": list(card.languages),
        **(card.licence.front_matter() if card.licence else {}),
        "tags": ["hf-soup"],
    }
    metadata = {name: value for name, value in fields.items() if value not in (None, [])}
    return join_front_matter(metadata, f"# {trained.member.name}\n\nA member of an ensemble. {how}\n")


def _card(checkpoint: StoredCheckpoint) -> IngredientCard:
    """An empty one where it cannot be read now; a push reads that of the model on the Hub again."""
    try:
        return load_card(checkpoint.folder)
    except SoupError:
        return IngredientCard(checkpoint.label)


def _places(names: Mapping[str, Any]) -> dict[str, str]:
    """A folder name for each member: what its name has that every file system takes, and no two alike."""
    places: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.replace("/", "--")).strip("-") or "member"
        place, number = plain, 2
        while place.casefold() in {other.casefold() for other in places.values()}:
            place, number = f"{plain}-{number}", number + 1
        places[name] = place
    return places
