"""Soup and MergedModel: the facade that composes the rooms. It has no logic of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_soup.checkpoints import ModelRef
from hf_soup.errors import InputError
from hf_soup.merging import Ingredients, Plan, Probe, SoupRecord, make_plan, merge, open_ingredients, probe
from hf_soup.merging.device import choose_device
from hf_soup.merging.output import output_problems
from hf_soup.progress import byte_bar, say
from hf_soup.sizes import parse_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hf_soup.evaluation import HeldOut
    from hf_soup.selection import Evidence

Model = str | Path | ModelRef


@dataclass(frozen=True)
class MergedModel:
    """A finished merge in a local folder, with everything that is known of how it came about."""

    path: Path
    recipe: SoupRecord
    report: Evidence | None = None
    warnings: tuple[str, ...] = ()
    token: str | bool | None = field(default=None, repr=False)

    def load(self, **kwargs: Any) -> PreTrainedModel:
        """Returns the transformers model of the class that config.json names; `kwargs` go to `from_pretrained`."""
        from hf_soup.loading import load_model

        return load_model(self.path, **kwargs)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        create_pr: bool = False,
        revision: str | None = None,
        license: str | None = None,
        name_private: bool = False,
        token: str | bool | None = None,
    ) -> str:
        """Publishes the folder and returns the URL of the commit or pull request. See `hf_soup.publishing.push`."""
        from hf_soup.publishing import push

        return push(
            self.path,
            repo_id,
            private=private,
            create_pr=create_pr,
            revision=revision,
            license=license,
            name_private=name_private,
            token=self.token if token is None else token,
        )


class Soup:
    """Models that are to be combined. Nothing is downloaded until something is asked of them.

    >>> soup = Soup(["me/run-1", "me/run-2@v1.0", "me/all:runs/3", "./run-4"], base="me/base")
    >>> print(soup.plan())                                       # reads headers only
    >>> soup.merge("linear", weights=[3, 1, 1, 1], out="soup")

    `base`: the pre-trained model that the others come from; methods on task vectors need it, and config, tokenizer and
    processor are copied from it (without it, from the first model). `token`, `revision` and `cache_dir` mean what they
    mean in huggingface_hub; `revision` stands for every reference that names none.
    """

    def __init__(
        self,
        models: Sequence[Model],
        base: Model | None = None,
        *,
        token: str | bool | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
    ) -> None:
        if isinstance(models, str | Path):
            raise InputError(f"Soup needs a list of models; write Soup(['{models}', …]).")
        self._models = list(models)
        self._base = base
        self.token = token
        self.revision = revision
        self.cache_dir = cache_dir

    @cached_property
    def ingredients(self) -> Ingredients:
        """The models, pinned to commits and opened. Raises InputError with the problems of all of them."""
        return open_ingredients(
            self._models, self._base, token=self.token, revision=self.revision, cache_dir=self.cache_dir
        )

    def plan(
        self,
        method: str = "linear",
        *,
        weights: Sequence[float] | None = None,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        out: str | Path | None = None,
        **parameters: Any,
    ) -> Plan:
        """Returns what a merge would do: sizes, memory, every problem. Reads headers, no weights.

        `weights`: one per model, in the order given, normalised unless `normalize=False`; uniform without. `parameters`:
        of the method, see `hf-soup methods NAME`. Raises InputError when a model cannot be opened.
        """
        if weights is not None:
            parameters["weight"] = list(weights)
        plan = make_plan(
            self.ingredients,
            method,
            parameters,
            dtype=dtype,
            shard_bytes=parse_size(shard_size),
            memory_bytes=parse_size(memory),
            device=choose_device(device),
            out=Path(out) if out is not None else None,
        )
        return plan.with_problems(self._too_few())

    def probe(self) -> Probe:
        """Downloads the weights and reads a sample: do the models share an ancestor, is one damaged or a copy?"""
        self._fetch()
        return probe(make_plan(self.ingredients))

    def merge(
        self,
        method: str = "linear",
        *,
        out: str | Path,
        weights: Sequence[float] | None = None,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        overwrite: bool = False,
        force: bool = False,
        license: str | None = None,
        publish: bool = False,
        **parameters: Any,
    ) -> MergedModel:
        """Writes the combination of the models to `out` and returns it.

        See `plan` for the options that are not named here. `force` goes on where the probe says that the models are
        unrelated or doubled. `publish=True` checks first that the result can be published (licences). Raises InputError
        with all problems before any work, NonFiniteWeights or SoupError when the work fails; then nothing is left behind.
        """
        from hf_soup.publishing import write_card

        plan = self.plan(
            method,
            weights=weights,
            dtype=dtype,
            shard_size=shard_size,
            memory=memory,
            device=device,
            out=out,
            **parameters,
        )
        self._check_before_work(plan, Path(out), overwrite=overwrite, license=license, publish=publish)
        warnings = self._checked_by_probe(plan, force)
        with byte_bar("merging", plan.bytes_to_write) as progress:
            record = merge(
                plan,
                Path(out),
                overwrite=overwrite,
                progress=progress,
                finish=lambda folder, record: write_card(folder, record, self.ingredients, license=license),
            )
        return MergedModel(Path(out), record, None, (*plan.warnings, *warnings), self.token)

    def _too_few(self) -> list[str]:
        if len(self.ingredients.models) > 1:
            return []
        return [f"Only one ingredient: {self.ingredients.models[0].label}; a soup needs at least two models."]

    def _check_before_work(
        self, plan: Plan, out: Path, *, overwrite: bool, license: str | None, publish: bool
    ) -> None:
        """Raises InputError with everything that would stop the merge or its publication later."""
        from hf_soup.publishing import licence_problems

        local = [source.ref.path for source in plan.sources if source.ref is not None and source.ref.path is not None]
        problems = [*plan.problems, *output_problems(out, overwrite, local)]
        if publish:
            problems += licence_problems(self.ingredients, license)
        if problems:
            raise InputError(problems)

    def _checked_by_probe(self, plan: Plan, force: bool) -> tuple[str, ...]:
        self._fetch()
        found = probe(plan)
        if found.problems and not force:
            raise InputError(found.problems)
        return (*found.problems, *found.warnings)

    def _fetch(self) -> None:
        """Brings all weights to this disk, into the Hub's ordinary cache; the client shows its own progress."""
        missing = [source for source in self.ingredients.all() if source.bytes_to_download()]
        for source in missing:
            say(f"Downloading {source.label}")
            source.fetch()
