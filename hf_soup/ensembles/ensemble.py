"""Ensemble: the facade that composes this room. It has no logic of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from hf_soup.ensembles.alignment import Labels, aligned_classes, refuse_other_tasks, with_labels
from hf_soup.ensembles.classifying_task import classifying_task
from hf_soup.ensembles.cost import MemberCost, cost_of
from hf_soup.ensembles.fit import Fit
from hf_soup.ensembles.opening import OnMissing, Voters, on_missing_policy, open_voters, same_models
from hf_soup.ensembles.published import Published
from hf_soup.errors import InputError
from hf_soup.evaluation.data_files import read_table
from hf_soup.evaluation.held_out import HeldOut
from hf_soup.evaluation.left_out import left_out_sentence
from hf_soup.problems import Problems
from hf_soup.sizes import parse_size

if TYPE_CHECKING:
    from hf_soup.ensembles.combination import Combination
    from hf_soup.ensembles.pipeline import EnsemblePipeline
    from hf_soup.ensembles.prediction import EnsemblePredictions
    from hf_soup.ensembles.probabilities import MemberProbabilities
    from hf_soup.ensembles.record import FineTuningRecord
    from hf_soup.ensembles.report import EnsembleReport
    from hf_soup.ensembles.scores import EnsembleScores
    from hf_soup.ensembles.voting import Voting

Data = Union["HeldOut", "MemberProbabilities", str, Path]
"""Held-out rows, or what the members say about rows; a file is read as held-out rows for the ensemble's task."""
Method = Literal["learned", "per_class", "equal", "best_single", "caruana", "stacking"]


class Ensemble(Published):
    """Models whose predictions are combined into one. Nothing is downloaded until something is asked of them.

    >>> ensemble = Ensemble({"bert": ["me/a", "me/b@v1.0"], "mini": ["./c", keyword_rule]}).fit(HeldOut("held_out.csv", ...))
    >>> ensemble.weights
    {'bert': 0.71, 'mini': 0.29}
    >>> ensemble.predict(["a fine film"]).labels
    ['positive']

    `families`: members by family, each a Hub ID (`name@revision`, `name:subfolder`), a folder, or a function of rows, see
    `FunctionMember`; or by names of their own, {"bert": {"first": "me/a"}}. Of a list the families are inferred. `task`:
    "text-classification" or "image-classification". `tier1`: what makes one prediction of a family: the "mean" of its
    probabilities, "logit_mean", or "soup", one model that is the average of its members' weights. `labels`: what the models call
    the classes, {"LABEL_0": "negative"}, for all or by member; classes are matched by name, whatever their order.
    `on_missing`: a member that cannot be had, or fails, is an "error"; with "reweigh" the others decide, with a warning.
    `memory`: for models that stay in memory between predictions, 0 for none; the others are loaded one at a time. The result is
    the same. `token`, `revision`, `cache_dir` mean what they mean in huggingface_hub; `revision` stands for every reference that
    names none. `device`: "cpu", "cuda:1", …; Accelerate's choice without.

    Source of the two tiers: AWARE-NET, arXiv 2505.00312.
    """

    def __init__(
        self,
        families: Mapping[str, Any] | Sequence[Any],
        *,
        task: str = "text-classification",
        tier1: Literal["mean", "logit_mean", "soup"] = "mean",
        labels: Labels | None = None,
        on_missing: OnMissing = "error",
        token: str | bool | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        device: str | None = None,
        memory: str | int = "2GiB",
        trust_remote_code: bool = False,
    ) -> None:
        problems = Problems()
        if tier1 not in ("mean", "logit_mean", "soup"):
            problems.add(f"tier1='{tier1}': it is one of mean, logit_mean, soup.")
        task_type = problems.of(lambda: classifying_task(task))
        problems.of(lambda: on_missing_policy(on_missing))
        memory_bytes = 0 if memory == 0 else problems.of(lambda: parse_size(memory))
        problems.raise_any()
        assert task_type is not None
        assert memory_bytes is not None
        self.task_type = task_type
        self.tier1 = tier1
        self.labels = dict(labels or {})
        self.on_missing = on_missing
        self.token, self.revision, self.cache_dir = token, revision, cache_dir
        self.device, self.trust_remote_code = device, trust_remote_code
        self.memory_bytes = memory_bytes
        self.columns: dict[str, str] = {}
        """Of the data it was fitted on, where they have other names than the task's."""
        self.max_length: int | None = None
        self.fitted: Fit | None = None
        """None where it was loaded and not fitted here."""
        self.finetuning: FineTuningRecord | None = None
        """How the members were trained together, where they were."""
        self.given: MemberProbabilities | None = None
        """The predictions it was made from, where there are no models."""
        self._families = families
        self._logits = False
        self._opened: Voters | None = None
        self._combination: Combination | None = None
        self._known: dict[str, MemberProbabilities] = {}
        self._seconds: dict[str, float] = {}
        self._voting: Voting | None = None

    @classmethod
    def from_predictions(
        cls,
        families: Mapping[str, Sequence[Any]] | MemberProbabilities,
        labels: Sequence[Any] | None = None,
        classes: Sequence[str] | None = None,
        groups: Sequence[Any] | None = None,
        logits: bool = False,
        **options: Any,
    ) -> Ensemble:
        """An ensemble of predictions that are there already; no model is needed, and `fit()` takes no data.

        `families`: arrays [rows, classes] by family, or [rows] for the second of two classes. See `MemberProbabilities.of`, which
        also takes `ids` and names of `members`, and which may be given itself. `predict` then takes the same for other rows. Raises InputError with all problems.
        """
        from hf_soup.ensembles.probabilities import MemberProbabilities

        made = cls({})
        if isinstance(families, MemberProbabilities):
            made.given = families
        else:
            made.given = MemberProbabilities.of(families, labels, classes, groups, logits=logits, **options)
        made._logits = logits
        return made

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the columns of probabilities. Raises InputError before `fit`."""
        return self.combination.classes

    @property
    def task(self) -> str:
        return self.task_type.name

    def opened(self, on_missing: OnMissing | None = None) -> Voters:
        """The members as they were given, pinned to commits; headers are read, no weights. Raises InputError with all problems."""
        if self._opened is None:
            opened = open_voters(
                self._families,
                on_missing=on_missing or self.on_missing,
                token=self.token,
                revision=self.revision,
                cache_dir=self.cache_dir,
            )
            refuse_other_tasks(opened.members, self.task_type)
            labels = {name: each for name, each in self.labels.items() if name not in opened.missing}
            named = iter(with_labels(opened.members, labels))
            families = {family: tuple(next(named) for _ in members) for family, members in opened.families.items()}
            self._opened = Voters(families, opened.missing)
        return self._opened

    @cached_property
    def voters(self) -> Voters:
        """The members that are run: as they were given, or with tier1="soup" one of each family, called like it."""
        if self.tier1 != "soup":
            return self.opened()
        from hf_soup.ensembles.soup_tier import souped

        return souped(self.opened())

    @property
    def costs(self) -> dict[str, MemberCost]:
        """Of the members that are run, by name."""
        return {member.name: cost_of(member, self._seconds.get(member.name)) for member in self.voters.members}

    def member_probabilities(self, held_out: HeldOut | MemberProbabilities | None = None) -> MemberProbabilities:
        """What every member says about held-out rows, from the cache where it is there; `values` is a memory map.

        Of an ensemble of given predictions, and for those, they are what is returned. Rows whose image cannot be decoded are left
        out for all members, with a warning. Raises InputError for labels or classes that do not match, SoupError for a member
        that fails.
        """
        from hf_soup.ensembles.probabilities import MemberProbabilities

        if isinstance(held_out, MemberProbabilities):
            return held_out
        if self.given is not None:
            return self.given
        if held_out is None or held_out.task != self.task:
            raise InputError(f"Held-out rows are needed, with task='{self.task}'.")
        held_out = held_out.readable()
        known = f"{held_out.name} {len(held_out.left_out)} {held_out.fingerprint} {held_out.groups and sorted(zip(held_out.ids, held_out.groups, strict=True))}"
        if known not in self._known:
            from hf_soup.ensembles.held_out_values import HeldOutRun

            if self._combination is not None:
                classes = self._combination.classes
            else:
                found = [example["label"] for example in held_out.examples]
                classes = aligned_classes(self.voters.members, found, held_out.name)
            run = HeldOutRun(held_out, classes, device=self.device, trust_remote_code=self.trust_remote_code)
            said = run.probabilities(self.voters, self.on_missing)
            warnings = [*said.warnings, *same_models(self.opened())]
            if held_out.left_out:
                warnings.append(left_out_sentence(held_out.name, held_out.left_out, held_out.rows))
            self._known[known] = replace(said, warnings=tuple(warnings), name=held_out.name)
            self._seconds |= run.seconds
        return self._known[known]

    def fit(
        self,
        held_out: Data | None = None,
        *,
        method: Method = "learned",
        tiers: Literal["tiered", "flat"] = "tiered",
        temperature: Literal["family", "member", "none"] = "family",
        ridge: float = 0.0,
        group_by: str | None = None,
        folds: int = 5,
        seed: int = 0,
        tests: Mapping[str, Data] | None = None,
        finetune: bool = False,
        train: HeldOut | str | Path | None = None,
        out: str | Path | None = None,
        epochs: int = 3,
        learning_rate: float = 2e-5,
        batch_size: int = 32,
    ) -> Ensemble:
        """Fits the weights on held-out predictions and returns the ensemble itself.

        `held_out`: labelled rows that no member was trained on; a file is read as `HeldOut` reads it. Rows whose image cannot be
        decoded are left out for all members, with a warning in the report, and are in `fitted.held_out.left_out`.
        `method`: see `fit_combination`. `tiers`: families are weighed, or ("flat") all members. `temperature`: fitted before the
        weights, so that an overconfident member does not count too little or too much. `ridge`: towards equal weights.
        `group_by`: as in `HeldOut`, where its data are a file. `folds`, `seed`: of the report's cross-validation. `tests`: other
        labelled rows for the report, by name. Raises InputError with all problems of settings, rows, labels and members before a
        model is run, and what `member_probabilities` raises.

        `finetune`: first trains the members and w of softmax(w) together, end to end, on the rows in `train` (a file, or a `HeldOut`),
        by the negative log-likelihood of the two-tier mixture; then fits temperatures and weights on the held-out rows as always.
        Kept is the epoch with the lowest held-out negative log-likelihood. The trained members are written below the folder `out`,
        one folder of the Hub each, and are the ensemble's members from then on; `finetuning` says what training came to.
        `learning_rate`: of AdamW at its highest. `batch_size`: rows of a step, over all processes. Processes, mixed precision and
        accumulation of gradients are those of Accelerate (`accelerate launch`). All members are in memory at once, in every
        process: some 16 bytes for each of their parameters and the activations of a step, and 4 more bytes beside for the best epoch.
        Raises InputError when training rows are among the held-out rows or tests, and for members that cannot be trained.
        """
        from hf_soup.ensembles.fit_problems import note_fit_problems
        from hf_soup.ensembles.fitting import fit_combination

        problems = Problems()
        rows = problems.of(lambda: self._labelled(held_out, group_by))
        read = {name: problems.of(partial(self._test, rows, each, name)) for name, each in (tests or {}).items()}
        note_fit_problems(
            problems,
            self,
            rows,
            read,
            method=method,
            tiers=tiers,
            temperature=temperature,
            ridge=ridge,
            folds=folds,
            seed=seed,
        )
        if not finetune and (train is not None or out is not None):
            problems.add("train and out are for fine-tuning: say finetune=True, or leave them out.")
        problems.raise_any()
        others = {name: each for name, each in read.items() if each is not None}
        if finetune:
            from hf_soup.ensembles.finetune.fine_tuning import fine_tune
            from hf_soup.ensembles.finetune.request import FineTuning

            train = train.readable() if isinstance(train, HeldOut) else train
            wanted = FineTuning(train, out, epochs, learning_rate, batch_size, seed, tiers)
            self._replace_members(*fine_tune(self, rows, others, wanted))
        self._combination = None
        data = self.member_probabilities(rows)
        self.combination = fit_combination(
            data, method, tiers=tiers, tier1=self.tier1, temperature=temperature, ridge=ridge, seed=seed
        )
        of_rows = rows if isinstance(rows, HeldOut) else None
        self.fitted = Fit(data, method, tiers, temperature, ridge, folds, seed, of_rows, others)
        self.__dict__.pop("report", None)
        if of_rows is not None:
            self.columns, self.max_length = of_rows.columns, of_rows.max_length
        return self

    def _labelled(self, data: Data | None, group_by: str | None = None) -> HeldOut | MemberProbabilities | None:
        """Rows as they can be run; None, where there is nothing but the given predictions."""
        from hf_soup.ensembles.probabilities import MemberProbabilities

        if data is None and self.given is not None:
            return None
        if isinstance(data, MemberProbabilities):
            return data
        if self.given is not None:
            raise InputError(
                "This ensemble is of ready-made predictions and holds no model that could read rows; give what its members say "
                "about them: MemberProbabilities.of(…), or --predictions NAME=FILE,FILE …"
            )
        if data is None:
            raise InputError(f"Held-out rows are needed, with task='{self.task}'.")
        if not isinstance(data, HeldOut):
            columns = self.columns if self._combination is not None else None
            return HeldOut(
                data,
                task=self.task,
                columns=columns,
                max_length=self.max_length,
                group_by=group_by,
                unreadable="leave_out",
            )
        if data.task != self.task:
            raise InputError(
                f"{data.name}: is for {data.task or 'no task'}; held-out rows are needed, with task='{self.task}'."
            )
        if group_by is not None and data.group_by != group_by:
            data = data.grouped(group_by)
        return data.readable()

    def _test(
        self, rows: HeldOut | MemberProbabilities | None, data: Data, name: str
    ) -> HeldOut | MemberProbabilities | None:
        """Rows of a test set; None where a file cannot be read like the fitting rows, since they are not known."""
        from hf_soup.ensembles.probabilities import MemberProbabilities

        if isinstance(data, HeldOut):
            return data.readable()
        if isinstance(data, MemberProbabilities):
            return data
        if isinstance(rows, HeldOut):
            return rows.like(data, name)
        if rows is None and self.given is None:
            read_table(data)
            return None
        raise InputError(
            f"{name}: is a file; give a HeldOut, since there is none whose task and columns it could take over."
        )

    def _replace_members(self, families: Mapping[str, Any], finetuning: FineTuningRecord) -> None:
        """Trained members take the places of those that they came of; their classes are called as the data call them."""
        self._families, self.labels, self.finetuning = families, {}, finetuning
        self._opened = self._voting = None
        self._known, self._seconds = {}, {}
        self.__dict__.pop("voters", None)

    @property
    def combination(self) -> Combination:
        """Weights and temperatures. Raises InputError before `fit`."""
        if self._combination is None:
            raise InputError("This ensemble has no weights yet: call fit(held_out) first.")
        return self._combination

    @combination.setter
    def combination(self, combination: Combination) -> None:
        self._combination = combination
        self._voting = None

    @property
    def weights(self) -> dict[str, float]:
        """What each family counts, or each member of a flat ensemble; they sum to 1. Raises InputError for stacking."""
        if self.combination.weights is None:
            raise InputError("Stacking has coefficients and no weights; they are in combination.stacking.")
        return dict(self.combination.weights)

    @cached_property
    def report(self) -> EnsembleReport:
        """Everything the ensemble could have been, side by side, on the rows it was fitted on and on the tests."""
        from hf_soup.ensembles.report import ensemble_report

        fit = self.fitted
        if fit is None:
            raise InputError("The report is about a fit: call fit(held_out) first, or evaluate(data) for other rows.")
        return ensemble_report(
            fit.data,
            {name: self.member_probabilities(each) for name, each in fit.tests.items()},
            chosen=self.combination,
            costs=self.costs if self.given is None else None,
            name=fit.name,
            folds=fit.folds,
            seed=fit.seed,
            temperature=fit.temperature,
        )

    def evaluate(
        self, held_out: HeldOut | MemberProbabilities | None = None, tests: Mapping[str, Data] | None = None
    ) -> EnsembleScores:
        """Returns the metrics of the ensemble as it is, of its members and families, on these rows and on `tests`, by name.

        `held_out`: a file is read as the rows that the ensemble was fitted on. What was given ready-made may be of members with other
        names, see `names_of_members`. Rows whose image cannot be decoded are left out, with a warning. With
        `on_missing="reweigh"` so is a member that is missing or fails, and is in `missing`. Raises InputError with the problems of all
        sets before a model is run.
        """
        from hf_soup.ensembles.fit_problems import unknown_labels
        from hf_soup.ensembles.given_predictions import as_members_of
        from hf_soup.ensembles.probabilities import MemberProbabilities
        from hf_soup.ensembles.scores import score_ensemble

        combination = self.combination
        problems = Problems()
        rows = problems.of(lambda: self._labelled(held_out))
        named = rows if rows is not None else self.given
        name = (named.name if named is not None else "") or "rows"
        sets = {name: rows}
        for test, each in (tests or {}).items():
            if test in sets:
                problems.add(f"'{test}' is the name of two sets of rows; give one of them another name.")
            sets[test] = problems.of(partial(self._test, rows, each, test))
        for found in sets.values():
            if isinstance(found, HeldOut) and (problem := unknown_labels(found, combination.classes)):
                problems.add(problem)
        problems.raise_any()
        said = {test: self.member_probabilities(found) for test, found in sets.items()}
        if self.given is not None or any(isinstance(found, MemberProbabilities) for found in sets.values()):
            said = {
                test: as_members_of(combination.families, data, combination.classes, self.on_missing)
                for test, data in said.items()
            }
        return score_ensemble(said, combination)

    def predict(
        self,
        rows: Any,
        early_exit: bool = False,
        batch_size: int | None = None,
        on_missing: OnMissing | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> EnsemblePredictions:
        """Returns the prediction for every row; no label is needed. What cannot be read is named in `left_out`.

        `rows`: a list of texts, images or dicts, a file, a folder of images, or a `HeldOut`; for an ensemble of given predictions
        arrays like those. `early_exit`: members are asked in order of weight until a row's decision cannot change; the decisions
        are the same, probabilities of such rows are those of the members that were asked. Raises SoupError naming a member that
        is missing or fails, unless `on_missing` is "reweigh".
        """
        policy = on_missing_policy(on_missing or self.on_missing)
        from hf_soup.ensembles.probabilities import MemberProbabilities

        if self.given is not None or isinstance(rows, MemberProbabilities):
            from hf_soup.ensembles.given_predictions import predict_given, read_given

            given = read_given(rows, self.combination, logits=self._logits, on_missing=policy)
            return predict_given(given, self.combination, policy)
        from hf_soup.ensembles.predicting import predict_rows
        from hf_soup.ensembles.rows import read_rows

        combination = self.combination
        read = read_rows(rows, self.task_type, columns if columns is not None else self.columns)
        self.opened(policy)
        return predict_rows(
            read,
            self.voters,
            combination,
            self._ready(combination),
            on_missing=policy,
            early_exit=early_exit,
            batch_size=batch_size,
        )

    def pipeline(self, *, early_exit: bool = False) -> EnsemblePipeline:
        """An object that is called, and answers, like a pipeline of transformers for this task."""
        from hf_soup.ensembles.pipeline import EnsemblePipeline

        return EnsemblePipeline(self.predict, self.task, early_exit=early_exit)

    def _ready(self, combination: Combination) -> Voting:
        if self._voting is None:
            from hf_soup.ensembles.voting import Voting

            self._voting = Voting(
                self.voters.members,
                combination.classes,
                self.task_type,
                device=self.device,
                memory_bytes=self.memory_bytes,
                max_length=self.max_length,
                trust_remote_code=self.trust_remote_code,
            )
        return self._voting
