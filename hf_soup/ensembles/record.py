"""hf_soup_ensemble.json: which models at which commits, how their answers are combined, and how good that was on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hf_soup.errors import InputError
from hf_soup.merging.record import FileRecord, IngredientRecord

ENSEMBLE_RECORD = "hf_soup_ensemble.json"
FORMAT = "hf-soup-ensemble"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MemberRecord(_Strict):
    """One member, pinned.

    `name`: by which `combination` calls it. `models`: the model on the Hub at its commit, or by its digests one that was a
    folder; several where they are souped into this one member; none for a function and for predictions that were given
    ready-made. `folder`: where it lies in this repository, where it is bundled. `called`: what the classes of the model mean,
    by their names in its config.json.
    """

    name: str
    source: Literal["model", "function", "predictions"]
    models: list[IngredientRecord] = []
    folder: str | None = None
    called: dict[str, str] = {}


class FamilyRecord(_Strict):
    name: str
    members: list[MemberRecord]


class DataRecord(_Strict):
    """A data set of `evidence`, by its name there. `data`: the file's name. `fingerprint`: see `hf_soup.ensembles.data_fingerprint`."""

    name: str
    role: Literal["fit", "test"]
    data: str
    rows: int
    fingerprint: str


class FitRecord(_Strict):
    """How the combination was fitted, so that it can be fitted again on the same rows."""

    method: str
    tiers: Literal["tiered", "flat"]
    tier1: Literal["mean", "logit_mean", "soup"]
    temperature: Literal["family", "member", "none"]
    ridge: float
    seed: int
    folds: int
    group_by: str | None = None


class EnsembleRecord(_Strict):
    """The content of hf_soup_ensemble.json.

    `columns`: of the data, where they had other names than the task's.
    `combination` and `evidence`: the `to_json()` of `hf_soup.ensembles.combination.Combination` and of
    `hf_soup.ensembles.report.EnsembleReport`.
    """

    format: Literal["hf-soup-ensemble"] = "hf-soup-ensemble"
    version: Literal[1] = 1
    hf_soup: str
    task: str | None
    """None where predictions were given ready-made."""
    classes: list[str]
    families: list[FamilyRecord]
    columns: dict[str, str] = {}
    max_length: int | None = None
    combination: dict[str, Any]
    fit: FitRecord | None = None
    data: list[DataRecord] = []
    evidence: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    outputs: dict[str, FileRecord] = {}

    @property
    def members(self) -> list[MemberRecord]:
        return [member for family in self.families for member in family.members]

    @property
    def ingredients(self) -> list[IngredientRecord]:
        """The models among the members, each once."""
        models = [model for member in self.members for model in member.models]
        return list({(one.name, one.revision, one.fingerprint): one for one in models}.values())

    @property
    def is_bundle(self) -> bool:
        """Whether every model lies in this repository."""
        models = [member for member in self.members if member.source == "model"]
        return bool(models) and all(member.folder is not None for member in models)

    def supplied(self) -> list[str]:
        """Returns the names of members and models that are neither on the Hub nor in this repository.

        Who loads the ensemble brings them.
        """
        functions = [member.name for member in self.members if member.source == "function"]
        members = [member for member in self.members if member.folder is None]
        models = [model.name for member in members for model in member.models if model.repo_id is None]
        return list(dict.fromkeys([*functions, *models]))

    def write(self, folder: Path) -> None:
        (folder / ENSEMBLE_RECORD).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises InputError when the file is not a record of an ensemble that this version understands."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"{path.name}: is not a record of an ensemble of hf-soup ({place}: {first['msg']})."
            ) from error
