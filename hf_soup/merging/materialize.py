"""A checkpoint as a folder, for a judge that wants one: a command, or a program that takes a path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import SoupError
from hf_soup.merging.virtual import VirtualCheckpoint


@contextmanager
def materialized(checkpoint: Checkpoint) -> Iterator[Path]:
    """Gives a local folder that `from_pretrained` takes; one that was written for the purpose is removed afterwards."""
    if isinstance(checkpoint, StoredCheckpoint):
        checkpoint.side_folder()
        yield checkpoint.fetch()
    elif isinstance(checkpoint, VirtualCheckpoint):
        if checkpoint.plan is None:
            raise SoupError(f"{checkpoint.label}: has no plan to write it by.")
        from hf_soup.merging.execute import copy_side_files, write_weights

        with tempfile.TemporaryDirectory(prefix="hf-soup-candidate-") as root:
            folder = Path(root) / "candidate"
            folder.mkdir()
            try:
                write_weights(checkpoint.plan, folder)
                copy_side_files(checkpoint.plan, folder)
            except OSError as error:
                raise SoupError(
                    f"A candidate could not be written to '{root}' ({error}); point TMPDIR at a disk with more space."
                ) from error
            yield folder
    else:
        raise SoupError(f"{checkpoint.label}: cannot be written to a folder.")
