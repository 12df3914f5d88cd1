"""soup.json: everything that is needed to derive the same bytes again, and the evidence that came with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hf_soup.checkpoints import AdapterCheckpoint, PinnedRef
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.errors import InputError

RECORD_NAME = "soup.json"
ARITHMETIC = 2
"""Version of the arithmetic: rises when the same recipe would give other bytes."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileRecord(_Strict):
    """Size and digest of a file: SHA-256, or for a small file on the Hub its git blob id.

    `root`: of a weight file that was just written, see `hf_soup.merging.checksums`; its SHA-256, which takes longer than
    the merge, is added when it is published. Of local ingredients SHA-256 is taken only on request.
    """

    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    root: str | None = None


class IngredientRecord(_Strict):
    """A model, pinned. For a local folder `repo_id` and `revision` are None and `name` is the folder's last name."""

    name: str
    repo_id: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    fingerprint: str
    files: dict[str, FileRecord]
    adapter_of: IngredientRecord | None = None
    """The base of a LoRA adapter, whose own files `files` are."""

    @classmethod
    def of(cls, checkpoint: StoredCheckpoint) -> IngredientRecord:
        ref = checkpoint.ref
        assert ref is not None
        return cls(
            name=ref.name,
            repo_id=ref.repo_id,
            revision=ref.revision,
            subfolder=ref.subfolder,
            fingerprint=checkpoint.fingerprint,
            files={
                file.path: FileRecord(size=file.size, sha256=file.sha256, git_sha1=file.git_sha1)
                for file in checkpoint.weight_files()
            },
            adapter_of=cls.of(checkpoint.base) if isinstance(checkpoint, AdapterCheckpoint) else None,
        )

    def pinned(self) -> PinnedRef | None:
        """Returns where to get it from; None for a model that was a local folder."""
        if self.repo_id is None:
            return None
        return PinnedRef(self.name, repo_id=self.repo_id, revision=self.revision, subfolder=self.subfolder)


class SoupRecord(_Strict):
    """The content of soup.json. `ingredients` and per-model parameters stand in the order of the arithmetic."""

    format: Literal["hf-soup"] = "hf-soup"
    version: Literal[1] = 1
    hf_soup: str
    arithmetic: int = ARITHMETIC
    method: str
    parameters: dict[str, Any]
    ingredients: list[IngredientRecord]
    base: IngredientRecord | None = None
    donor: int | None
    """Index in `ingredients` of the model whose config, tokenizer and processor files were copied; None: the base."""
    ancestor: str | None = None
    """Hub ID of the pre-trained model that all ingredients' cards name as their base, where they do."""
    shared: str = ""
    """Which tensors all ingredients had from one place, so that they were copied: their positions among the result's sorted names."""
    dtype: str | None = None
    """Output dtype of all floating tensors, None where each kept its own."""
    shard_bytes: int
    device: str
    outputs: dict[str, FileRecord] = {}
    """Size and SHA-256 of every weight file and side file of the result."""
    selection: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None

    def write(self, folder: Path) -> None:
        (folder / RECORD_NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> SoupRecord:
        """Raises InputError when the file is not a record that this version understands."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{path.name}: is not a record of hf-soup ({place}: {first['msg']}).") from error
