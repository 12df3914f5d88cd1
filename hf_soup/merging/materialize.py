"""A checkpoint as a folder, for a judge that wants one: a command, or a program that takes a path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import SoupError
from hf_soup.merging.ingredients import Ingredients
from hf_soup.merging.plan import Plan, make_plan
from hf_soup.merging.virtual import VirtualCheckpoint


@contextmanager
def materialized(checkpoint: Checkpoint) -> Iterator[Path]:
    """Gives a local folder that `from_pretrained` takes; one that was written for the purpose is removed afterwards."""
    if isinstance(checkpoint, StoredCheckpoint) and not isinstance(checkpoint, AdapterCheckpoint):
        checkpoint.side_folder()
        yield checkpoint.fetch()
    elif (plan := _plan_of(checkpoint)) is not None:
        from hf_soup.merging.execute import copy_side_files, write_weights

        with tempfile.TemporaryDirectory(prefix="hf-soup-candidate-") as root:
            folder = Path(root) / "candidate"
            folder.mkdir()
            try:
                write_weights(plan, folder)
                copy_side_files(plan, folder)
            except OSError as error:
                raise SoupError(
                    f"A candidate could not be written to '{root}' ({error}); point TMPDIR at a disk with more space."
                ) from error
            yield folder
    else:
        raise SoupError(f"{checkpoint.label}: cannot be written to a folder.")


def _plan_of(checkpoint: Checkpoint) -> Plan | None:
    """By which a checkpoint is written that is computed on read: a merge's own plan, or an adapter's, merged with nothing."""
    if isinstance(checkpoint, VirtualCheckpoint):
        if checkpoint.plan is None:
            raise SoupError(f"{checkpoint.label}: has no plan to write it by.")
        return checkpoint.plan
    if isinstance(checkpoint, AdapterCheckpoint):
        checkpoint.fetch()
        return make_plan(Ingredients((checkpoint,)), checks=False)
    return None
