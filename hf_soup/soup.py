"""Soup: the facade that composes the rooms. It has no logic of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from hf_soup.adapter_soup import merge_into_adapter
from hf_soup.before_work import check_before_work, too_few
from hf_soup.checkpoints import ModelRef
from hf_soup.completion import completion
from hf_soup.errors import InputError
from hf_soup.merging import Ingredients, Plan, Probe, make_plan, merge, open_ingredients, probe
from hf_soup.merging.device import choose_device
from hf_soup.progress import byte_bar, say
from hf_soup.ranks import ranks
from hf_soup.results import MergedModel, PushedModel
from hf_soup.sizes import parse_size

if TYPE_CHECKING:
    from hf_soup.adapters import MadeAdapter
    from hf_soup.evaluation import HeldOut
    from hf_soup.publishing import Target
    from hf_soup.selection import Evidence, Selection

Model = str | Path | ModelRef


class Soup:
    """Models that are to be combined. Nothing is downloaded until something is asked of them.

    >>> soup = Soup(["me/run-1", "me/run-2@v1.0", "me/all:runs/3", "./run-4"], base="me/base")
    >>> print(soup.plan())                                       # reads headers only
    >>> soup.merge("linear", weights=[3, 1, 1, 1], out="soup")

    A model may be a LoRA adapter of PEFT: it is the base that its adapter_config.json names, with the adapter merged into it.
    `hf_soup.checkpoints.ModelRef.parse("me/adapter", base="me/other")` reads it over another one.

    `base`: the pre-trained model that the others come from, and of which adapters are read. Methods on task vectors need it,
    and then config, tokenizer and processor are copied from it; for the others it is an ancestor to check against, and the
    first model lends them. `token`, `revision` and `cache_dir` mean what they mean in huggingface_hub; `revision` stands for
    every reference that names none. `stream`: weights of the Hub's models are read over the network while they are merged,
    and none of them comes to this disk.
    """

    def __init__(
        self,
        models: Sequence[Model],
        base: Model | None = None,
        *,
        token: str | bool | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        stream: bool = False,
    ) -> None:
        if isinstance(models, str | Path):
            raise InputError(f"Soup needs a list of models; write Soup(['{models}', …]).")
        self._models = list(models)
        self._base = base
        self.token = token
        self.revision = revision
        self.cache_dir = cache_dir
        self.stream = stream

    @cached_property
    def ingredients(self) -> Ingredients:
        """The models, pinned to commits and opened. Raises InputError with the problems of all of them."""
        return open_ingredients(
            self._models,
            self._base,
            token=self.token,
            revision=self.revision,
            cache_dir=self.cache_dir,
            stream=self.stream,
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
        """Returns what a merge would do: sizes, memory, every problem. Reads headers, no weights but those of adapters.

        A LoRA adapter on the Hub is downloaded for it, where its own file has at most 512 MiB, and looked through: NaN, never
        trained, an absurd scale. Its base is not. What is found is in `Plan.doubts`, since `force` can overrule it.
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
            out=_place(out) if out is not None else None,
        )
        return plan.with_problems(too_few(plan))

    def probe(self) -> Probe:
        """Downloads the weights and reads a sample: do the models share an ancestor, is one damaged or a copy?"""
        self._fetch()
        return probe(make_plan(self.ingredients), self.ingredients.base)

    @overload
    def merge(
        self,
        method: str = "linear",
        *,
        out: str | Path,
        as_: Literal["model"] = "model",
        weights: Sequence[float] | None = None,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        overwrite: bool = False,
        fresh: bool = False,
        digests: bool = False,
        force: bool = False,
        license: str | None = None,
        publish: bool | str | Target = False,
        **parameters: Any,
    ) -> MergedModel: ...

    @overload
    def merge(
        self,
        method: Literal["linear"] = "linear",
        *,
        out: str | Path,
        as_: Literal["concat", "svd"],
        rank: int | Literal["auto"] | None = None,
        energy: float | None = None,
        weights: Sequence[float] | None = None,
        overwrite: bool = False,
        force: bool = False,
        license: str | None = None,
        publish: bool | str | Target = False,
        normalize: bool = True,
    ) -> MadeAdapter: ...

    def merge(
        self,
        method: str = "linear",
        *,
        out: str | Path,
        as_: Literal["model", "concat", "svd"] = "model",
        rank: int | Literal["auto"] | None = None,
        energy: float | None = None,
        weights: Sequence[float] | None = None,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        overwrite: bool = False,
        fresh: bool = False,
        digests: bool = False,
        force: bool = False,
        license: str | None = None,
        publish: bool | str | Target = False,
        **parameters: Any,
    ) -> MergedModel | MadeAdapter:
        """Writes the combination of the models to `out` and returns it.

        `as_`: a full model; or, of LoRA adapters by the method linear, one adapter: "concat" the exact sum of their updates,
        "svd" the best one of a `rank` ("auto": that keeps `energy`, 0.99), see `hf_soup.adapters.combine_adapters`.
        See `plan` for the options that are not named here. `force` goes on where the probe says that the models are unrelated
        or doubled, or an adapter is damaged or untrained. `publish=True` checks first that the result can be published
        (licences); a Hub ID or a `hf_soup.publishing.Target`, that it can be pushed there. `digests=True` records the SHA-256
        of local ingredients, which takes longer than the merge. An interrupted merge is kept in `OUT.partial`: the same call goes
        on, `fresh=True` discards it. Raises InputError with all problems before any work, NonFiniteWeights, SoupError.
        """
        if as_ != "model":
            given = {"dtype": dtype is not None, "shard_size": shard_size != "5GB", "memory": memory != "256MiB"}
            given |= {"device": device != "auto", "fresh": fresh, "digests": digests, "stream": self.stream}
            return merge_into_adapter(
                self._models,
                self._base,
                as_,
                method=method,
                out=_place(out),
                weights=weights,
                rank=rank,
                energy=energy,
                overwrite=overwrite,
                force=force,
                license=license,
                publish=publish,
                token=self.token,
                revision=self.revision,
                cache_dir=self.cache_dir,
                model_options=given,
                parameters=parameters,
            )
        if rank is not None or energy is not None:
            raise InputError("rank and energy belong to as_='svd'; a full model keeps everything.")
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
        check_before_work(
            plan, _place(out), overwrite=overwrite, force=force, license=license, publish=publish, token=self.token
        )
        warnings = self._checked_by_probe(plan, force)
        return self._write(
            plan, _place(out), overwrite=overwrite, license=license, warnings=warnings, fresh=fresh, digests=digests
        )

    def merge_to_hub(
        self,
        repo_id: str,
        method: str = "linear",
        *,
        weights: Sequence[float] | None = None,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        digests: bool = False,
        force: bool = False,
        license: str | None = None,
        private: bool = False,
        create_pr: bool = False,
        revision: str | None = None,
        name_private: bool = False,
        **parameters: Any,
    ) -> PushedModel:
        """Merges and publishes without a local result, in one commit (or pull request) at the end.

        At most one weight file of `shard_size` is on this disk at any time, in a temporary folder; with `stream=True`
        none of the ingredients' weights is. Options as in `merge` and `MergedModel.push_to_hub`. An interrupted run
        leaves nothing to be seen on the Hub; the same call then merges again and sends only files that have not arrived.
        Raises InputError with all problems before any weight is read, also under a launcher with several processes;
        HubError when the Hub fails, otherwise what `merge` raises.
        """
        from hf_soup.publishing import HubMerge, Target

        target = Target(repo_id, private, create_pr, revision)
        plan = self.plan(
            method, weights=weights, dtype=dtype, shard_size=shard_size, memory=memory, device=device, **parameters
        )
        check_before_work(plan, None, force=force, license=license, publish=target, token=self.token)
        told = list(plan.warnings)
        work = HubMerge(
            plan,
            target,
            completion(plan, self.ingredients.base, license, told),
            name_private=name_private,
            license=license,
            token=self.token,
            cache_dir=self.cache_dir,
            warn=cache(say),
        )
        work.rehearse()
        told += self._checked_by_probe(plan, force)
        with byte_bar("merging", plan.bytes_to_write) as progress:
            record, url = work.carry_out(digests=digests, progress=progress)
        return PushedModel(url, record, tuple(dict.fromkeys(told)))

    def greedy(
        self,
        held_out: HeldOut,
        *,
        out: str | Path,
        test: HeldOut | str | Path | None = None,
        shifts: Mapping[str, HeldOut | str | Path] | None = None,
        strict: bool = False,
        order: Literal["score", "random"] = "score",
        seed: int = 0,
        dtype: str | None = None,
        shard_size: str | int = "5GB",
        memory: str | int = "256MiB",
        device: str = "auto",
        overwrite: bool = False,
        fresh: bool = False,
        digests: bool = False,
        force: bool = False,
        license: str | None = None,
        publish: bool | str | Target = False,
        trust_remote_code: bool = False,
    ) -> MergedModel:
        """Chooses ingredients by held-out score, writes their average to `out` and returns it with the evidence.

        Recipe 1 of arXiv 2203.05482: the models are tried from best to worst, and each is kept with which the average is
        not worse (`strict`: only when it is better). `order="random"` with a `seed` tries them in another order. The model
        that was scored is, bit for bit, the model that is written. `test` and `shifts` (by name) are used for the evidence
        only, with the task, columns and labels of `held_out`. Every prediction is cached, so an interrupted run goes on.
        Raises what `merge` raises; InputError also for labels that a model does not know.
        """
        from hf_soup.selection.choose import checked_data, choose_greedily

        if self.stream:
            raise InputError("A greedy soup reads its ingredients many times; make it without stream=True.")
        if order not in ("score", "random"):
            raise InputError(f"order='{order}': it is 'score' or 'random'.")
        plan = self.plan(dtype=dtype, shard_size=shard_size, memory=memory, device=device, out=out)
        files = [place for place in (held_out.path, test, *(shifts or {}).values()) if isinstance(place, str | Path)]
        check_before_work(
            plan,
            _place(out),
            overwrite=overwrite,
            force=force,
            license=license,
            publish=publish,
            token=self.token,
            data=[Path(file) for file in files],
        )
        sets = checked_data(self.ingredients, held_out, test, shifts)
        warnings = self._checked_by_probe(plan, force)

        def plan_of(subset: Sequence[int]) -> Plan:
            return make_plan(
                self.ingredients.subset(subset),
                dtype=dtype,
                shard_bytes=plan.shard_bytes,
                memory_bytes=parse_size(memory),
                device=plan.device,
                out=_place(out),
                checks=False,
            )

        selection, evidence = choose_greedily(
            self.ingredients,
            sets,
            plan_of,
            strict=strict,
            order=order,
            seed=seed,
            device=plan.device,
            trust_remote_code=trust_remote_code,
        )
        return self._write(
            plan_of(selection.path.chosen),
            _place(out),
            overwrite=overwrite,
            license=license,
            warnings=(*plan.warnings, *warnings),
            fresh=fresh,
            digests=digests,
            selection=selection,
            evidence=evidence,
        )

    def _write(
        self,
        plan: Plan,
        out: Path,
        *,
        overwrite: bool,
        license: str | None,
        warnings: Sequence[str],
        fresh: bool = False,
        digests: bool = False,
        selection: Selection | None = None,
        evidence: Evidence | None = None,
    ) -> MergedModel:
        told = [*plan.warnings, *warnings]
        finish = completion(plan, self.ingredients.base, license, told, selection, evidence)
        with byte_bar("merging", plan.bytes_to_write // ranks()) as progress:
            record = merge(
                plan, out, overwrite=overwrite, fresh=fresh, digests=digests, progress=progress, finish=finish
            )
        return MergedModel(out, record, evidence, tuple(dict.fromkeys(told)), self.token)

    def _checked_by_probe(self, plan: Plan, force: bool) -> tuple[str, ...]:
        self._fetch()
        found = probe(plan, self.ingredients.base)
        if found.problems and not force:
            raise InputError(found.problems)
        return (*found.problems, *found.warnings)

    def _fetch(self) -> None:
        """Brings all weights to this disk, into the Hub's ordinary cache; the client shows its own progress."""
        missing = [source for source in self.ingredients.all() if source.bytes_to_download()]
        for source in missing:
            say(f"Downloading {source.label}")
            source.fetch()


def _place(out: str | Path) -> Path:
    return Path(out).expanduser()
