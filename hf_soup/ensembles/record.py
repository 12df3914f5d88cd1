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
    by their names in its config.json. `origins`: models that it was copied or trained from by hf-soup, for another
    ensemble than this one.
    """

    name: str
    source: Literal["model", "function", "predictions"]
    models: list[IngredientRecord] = []
    folder: str | None = None
    called: dict[str, str] = {}
    origins: list[IngredientRecord] = []


class FamilyRecord(_Strict):
    name: str
    members: list[MemberRecord]


class DataRecord(_Strict):
    """A data set of `evidence`, by its name there. `data`: the file's name, None where there was none. `fingerprint`: see
    `hf_soup.ensembles.data_fingerprint`."""

    name: str
    role: Literal["fit", "test"]
    data: str | None
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


class EpochRecord(_Strict):
    """`train_nll`: mean over the epoch, with dropout; `held_out_nll`: after it; `weights`: softmax(w) after it, by family or member."""

    train_nll: float
    held_out_nll: float
    weights: dict[str, float]


class FineTuningRecord(_Strict):
    """How members were trained together, and what from.

    `data`, `rows`, `fingerprint`: of the training rows, see `HeldOut.fingerprint`. `before`: negative log-likelihood of the held-out
    rows by the mixture with equal weights before the first step. `kept`: the epoch, from 1, whose weights the members have, that of
    the lowest `held_out_nll`. `starts`: what each member was before, by its name. `origins`: models that those were copies of, or trained
    from, where they were members of another ensemble: a folder does not say it of itself.
    """

    data: str
    rows: int
    fingerprint: str
    max_length: int | None = None
    learning_rate: float
    batch_size: int
    seed: int
    device: str
    processes: int
    before: float
    epochs: list[EpochRecord]
    kept: int
    starts: dict[str, IngredientRecord]
    origins: list[IngredientRecord] = []

    @property
    def sources(self) -> list[IngredientRecord]:
        """Every model whose weights went into the members. Who may have those decides who may have these."""
        return [*self.starts.values(), *self.origins]

    @property
    def weights(self) -> dict[str, float]:
        """softmax(w) of the epoch that was kept, by family or member."""
        return self.epochs[self.kept - 1].weights

    def sentence(self) -> str:
        """Says how, on what, and what it came to."""
        best = self.epochs[self.kept - 1].held_out_nll
        count = f"{len(self.epochs)} epochs" if len(self.epochs) > 1 else "1 epoch"
        learned = ", ".join(f"{name} {weight:.4f}" for name, weight in self.weights.items())
        return (
            f"The members were fine-tuned together, end to end with the weights of their mixture: {count} over {self.data} "
            f"({self.rows:,} rows), learning rate {self.learning_rate:g}, {self.batch_size} rows a step, seed {self.seed}; kept is epoch "
            f"{self.kept}, chosen by the held-out negative log-likelihood of the mixture ({best:.4f}, before training {self.before:.4f}). "
            f"Training came to the weights {learned}; the ensemble's own are chosen on the held-out rows after it."
        )

    @property
    def harmed(self) -> str:
        """A sentence when training made the mixture worse on the held-out rows, else empty."""
        best = self.epochs[self.kept - 1].held_out_nll
        if best < self.before:
            return ""
        return (
            f"Training did not lower the held-out negative log-likelihood of the mixture ({best:.4f}, before {self.before:.4f}); "
            "the members as they were may be better: choose a lower learning rate or more rows."
        )


class EnsembleRecord(_Strict):
    """The content of hf_soup_ensemble.json.

    `outputs`: files of bundled members, `pictures`: those in the card, by path. `columns`: of the data, where they had other names
    than the task's. `finetuning`: where the members were trained together.
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
    finetuning: FineTuningRecord | None = None
    combination: dict[str, Any]
    fit: FitRecord | None = None
    data: list[DataRecord] = []
    evidence: dict[str, Any] | None = None
    versions: dict[str, str] = {}
    outputs: dict[str, FileRecord] = {}
    pictures: dict[str, FileRecord] = {}

    @property
    def members(self) -> list[MemberRecord]:
        return [member for family in self.families for member in family.members]

    @property
    def ingredients(self) -> list[IngredientRecord]:
        """The models among the members, each once."""
        models = [model for member in self.members for model in member.models]
        return list({(one.name, one.revision, one.fingerprint): one for one in models}.values())

    @property
    def sources(self) -> list[IngredientRecord]:
        """Every model that members were trained from, for this ensemble or for another."""
        here = self.finetuning.sources if self.finetuning is not None else []
        return [*here, *(one for member in self.members for one in member.origins)]

    @property
    def is_bundle(self) -> bool:
        """Whether every model lies in this repository."""
        models = [member for member in self.members if member.source == "model"]
        return bool(models) and all(member.folder is not None for member in models)

    def start_of(self, member: MemberRecord) -> IngredientRecord | None:
        """What a fine-tuned member that is on no Hub was before; None for every other member."""
        starts = self.finetuning.starts if self.finetuning is not None else {}
        return starts.get(member.name) if all(model.repo_id is None for model in member.models) else None

    @property
    def licensors(self) -> list[IngredientRecord]:
        """`ingredients`, each fine-tuned one by what it was before, whose licence it inherits."""
        starts = {
            model.fingerprint: self.start_of(member) or model for member in self.members for model in member.models
        }
        return [starts[one.fingerprint] if one.repo_id is None else one for one in self.ingredients]

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
