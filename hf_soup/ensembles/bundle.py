"""Members copied into the ensemble's own folder, so that nothing else is needed to load it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.side_files import side_files
from hf_soup.checkpoints.weight_files import PICKLE_INDEX, SAFETENSORS_INDEX
from hf_soup.errors import SoupError
from hf_soup.merging.materialize import materialized
from hf_soup.merging.record import FileRecord
from hf_soup.progress import byte_bar
from hf_soup.publishing.side_comparison import sha256_of

_INDICES = (SAFETENSORS_INDEX, PICKLE_INDEX)
_LEGAL = ("license", "licence", "notice")


def write_bundle(checkpoints: Mapping[str, Checkpoint], root: Path) -> tuple[dict[str, str], dict[str, FileRecord]]:
    """Writes each member's weights and side files below `root`; returns (its folder by name, every file's digest by path).

    An adapter is written with its base, a soup as one model. Folders are numbered: a name may be one that must not be published.
    Licence and notice files of a model go with its weights.
    """
    folders = {name: f"members/{place}" for place, name in enumerate(checkpoints)}
    written: dict[str, FileRecord] = {}
    total = sum(checkpoint.info(name).nbytes for checkpoint in checkpoints.values() for name in checkpoint.names())
    try:
        with byte_bar("Bundling", total) as advance:
            for name, checkpoint in checkpoints.items():
                target = root / folders[name]
                target.mkdir(parents=True)
                _write(checkpoint, target)
                for path in sorted(target.rglob("*")):
                    if path.is_file():
                        size = path.stat().st_size
                        written[path.relative_to(root).as_posix()] = FileRecord(size=size, sha256=sha256_of(path))
                        advance(size)
    except OSError as error:
        raise SoupError(
            f"The members cannot be written to '{root}' ({error}); free some space, or do not bundle them."
        ) from error
    return folders, written


def _write(checkpoint: Checkpoint, target: Path) -> None:
    with materialized(checkpoint) as source:
        if isinstance(checkpoint, StoredCheckpoint) and not isinstance(checkpoint, AdapterCheckpoint):
            files = checkpoint.folder.files
            beside = [path for path in files if path.lower().startswith(_LEGAL) or path in _INDICES]
            checkpoint.folder.fetch(beside)
            paths = [*(file.path for file in checkpoint.weight_files()), *side_files(checkpoint.folder), *beside]
        else:
            paths = [path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()]
        for path in dict.fromkeys(paths):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)
