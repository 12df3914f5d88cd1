"""soup.json of an adapter that was made here: from what, how, and how much of it the ranks keep."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from hf_soup.merging.record import RECORD_NAME, FileRecord, IngredientRecord

Form = Literal["concat", "svd", "extract"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BaseName(_Strict):
    """The model that the adapter is for, as adapter_config.json names it.

    `revision`: of a base on the Hub, where the Hub could be asked, the commit SHA; else as the adapters or the user wrote it.
    """

    name: str | None
    revision: str | None = None


class ModuleRecord(_Strict):
    """What became of the update of one module.

    `energy`: the share of its squared norm that the rank keeps, 1.0 where it is exact. `norm`: ‖ΔW‖ (Frobenius) before.
    """

    rank: int
    energy: float
    norm: float | None = None

    @property
    def error(self) -> float | None:
        """‖ΔW − what is written‖ (Frobenius), up to the rounding of the result."""
        return None if self.norm is None else self.norm * max(0.0, 1 - self.energy) ** 0.5


class AdapterRecord(_Strict):
    """The content of soup.json. `ingredients` in the order given; `weights` as they enter the sum."""

    format: Literal["hf-soup-adapter"] = "hf-soup-adapter"
    version: Literal[1] = 1
    hf_soup: str
    form: Form
    base: BaseName
    base_record: IngredientRecord | None = None
    """The base, where tensors of it went into the result: of every extraction, and of a combination that mixes
    replaced tensors with it."""
    base_is_theirs: bool | None = None
    """Of a combination: whether any adapter names this base, or one of the same weights; None where that could not be told."""
    ingredients: list[IngredientRecord]
    weights: list[float]
    asked_rank: int | None = None
    asked_energy: float | None = None
    full: bool = False
    """Of an extraction: whether tensors of one dimension that differ were to be kept in full."""
    modules: dict[str, ModuleRecord]
    replaced: list[str] = []
    """Tensors that take the place of the base's in full."""
    left_out: dict[str, float] = {}
    """Of an extraction: tensors that differ and are not in the adapter, with the norm of their difference."""
    outputs: dict[str, FileRecord] = {}

    @property
    def energy(self) -> float:
        """The share of the squared norm of all updates that is kept; 1.0 where the result is exact."""
        if all(module.norm is None for module in self.modules.values()):
            return 1.0
        whole = sum((module.norm or 0.0) ** 2 for module in self.modules.values())
        kept = sum((module.norm or 0.0) ** 2 * module.energy for module in self.modules.values())
        return kept / whole if whole else 1.0

    def write(self, folder: Path) -> None:
        (folder / RECORD_NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
