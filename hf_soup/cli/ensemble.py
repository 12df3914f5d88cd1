"""`hf-soup ensemble`: what several models say about the same rows becomes one prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show
from hf_soup.errors import SoupError

if TYPE_CHECKING:
    from hf_soup.ensembles import Ensemble, MemberProbabilities
    from hf_soup.ensembles.opening import OnMissing
    from hf_soup.ensembles.tiers import Tier1
    from hf_soup.evaluation import HeldOut
    from hf_soup.problems import Problems

app = typer.Typer(
    help="Fit, judge, use and publish an ensemble of models, or of their predictions.", no_args_is_help=True
)

Saved = Annotated[str, typer.Argument(help="The folder of an ensemble, or its repository.", show_default=False)]
Families = Annotated[
    list[str] | None,
    typer.Option("--family", help="Members of one family: NAME=ID,ID. Repeatable.", show_default=False),
]
Task = Annotated[str | None, typer.Option("--task", help="text-classification or image-classification.")]
Predictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        help="Instead of models their predictions, a file a member: NAME=FILE,FILE. Repeatable.",
        show_default=False,
    ),
]
MembersPredictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        help=(
            "Instead of models their predictions, a file a member: NAME=FILE,FILE. Repeatable. A file is its member's when it is called "
            "like the one that was fitted on; otherwise files are taken in the order of their family's members."
        ),
        show_default=False,
    ),
]
Tests = Annotated[
    list[str] | None,
    typer.Option("--test", help="Rows that decide nothing: NAME=FILE. Repeatable.", show_default=False),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes", help="Of predictions without names: the columns' classes, in order.", show_default=False
    ),
]
Logits = Annotated[bool, typer.Option("--logits", help="The predictions are logits.")]
GroupBy = Annotated[
    str | None,
    typer.Option("--group-by", help="A column; rows with one value stay together in splits.", show_default=False),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--member", help="Where a member that was a folder lies: NAME=DIR. Repeatable.", show_default=False),
]
WhenMissing = Annotated[
    str, typer.Option("--on-missing", help="error, or reweigh: do without a member that is missing or fails.")
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="To start with; it shrinks where memory ends.", show_default=False)
]
ModelMemory = Annotated[str, typer.Option("--memory", help="For models that stay loaded between uses.")]
EnsembleDevice = Annotated[str | None, typer.Option("--device", help="cpu, cuda:1, …; else the best there is.")]


@app.command()
def fit(
    out: opt.Out,
    members: Annotated[
        list[str] | None,
        typer.Argument(help="Members whose families are inferred: Hub IDs or folders.", show_default=False),
    ] = None,
    family: Families = None,
    predictions: Predictions = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Labelled rows that no member was trained on: CSV, JSONL or Parquet."),
    ] = None,
    task: Task = None,
    group_by: GroupBy = None,
    test: Tests = None,
    method: Annotated[
        str, typer.Option("--method", help="learned, per_class, equal, best_single, caruana or stacking.")
    ] = "learned",
    tier1: Annotated[
        str, typer.Option("--tier1", help="How a family becomes one: mean, logit_mean, or soup (of weights).")
    ] = "mean",
    flat: Annotated[bool, typer.Option("--flat", help="Weigh every member by itself, not families.")] = False,
    temperature: Annotated[
        str, typer.Option("--temperature", help="Fitted before the weights, for each family, member, or none.")
    ] = "family",
    ridge: Annotated[float, typer.Option("--ridge", help="Pulls the weights towards equal ones.")] = 0.0,
    folds: Annotated[int, typer.Option("--folds", help="Of the cross-validation in the report.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and resamples.")] = 0,
    column: opt.Column = None,
    labels: opt.Labels = None,
    classes: Classes = None,
    logits: Logits = False,
    bundle: Annotated[bool, typer.Option("--bundle", help="Copy the members' weights into the folder.")] = False,
    finetune: Annotated[
        bool,
        typer.Option("--finetune", help="First train members and weights together on --train; implies --bundle."),
    ] = False,
    train: Annotated[
        Path | None,
        typer.Option("--train", help="Labelled rows to fine-tune on, none of them held out.", show_default=False),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", help="Of fine-tuning.")] = 3,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of fine-tuning, at its highest.")] = 2e-5,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows of one step of fine-tuning.")] = 32,
    overwrite: opt.Overwrite = False,
    on_missing: WhenMissing = "error",
    device: EnsembleDevice = None,
    memory: ModelMemory = "2GiB",
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    publish_private_weights: opt.PublishPrivateWeights = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Learn how much each family counts on held-out rows, report what that is worth, and save it.

    Rows whose image cannot be decoded are named and left out for all members; the exit code is then 3: done, but with parts missing.
    """
    from hf_soup.ensembles import Ensemble
    from hf_soup.ensembles.ensemble import classifying_task
    from hf_soup.ensembles.fit_problems import note_fit_problems
    from hf_soup.ensembles.fitting import setting_problems
    from hf_soup.problems import Problems
    from hf_soup.publishing import Target, target_problems
    from hf_soup.publishing.licences import derive_licence

    sources = [
        name for name, given in (("members", members), ("--family", family), ("--predictions", predictions)) if given
    ]
    problems = Problems()
    if len(sources) != 1:
        problems.add(
            f"Say who votes in one way, {' and '.join(sources) or 'none'} is given: --family NAME=ID,ID …, or members by themselves, "
            "or --predictions NAME=FILE,FILE …"
        )
    if data is None:
        problems.add("Say which labelled rows to fit on: --data FILE.")
    if finetune and (predictions or train is None):
        problems.add(
            "--finetune trains models: name models, and say which labelled rows to train them on, --train FILE."
        )
    if finetune and _trained(out).exists():
        problems.add(
            f"'{_trained(out)}' holds what an earlier run trained, whose ensemble was not written: fit one of these members, or remove "
            "the folder."
        )
    if train is not None and not finetune:
        problems.add("--train is for --finetune; without it no member is trained.")
    families: dict[str, list[str]] = {}
    if predictions or family:
        option = "--predictions" if predictions else "--family"
        families = problems.of(lambda: opt.lists(predictions or family, option)) or {}
    tests = problems.of(lambda: opt.pairs(test, "--test")) or {}
    columns = problems.of(lambda: opt.pairs(column, "--column")) or {}
    if not predictions:
        named = [name for names in families.values() for name in names] or members or []
        problems.extend(_output_problems(out, overwrite, [Path(name) for name in named]))
    else:
        problems.extend(_output_problems(out, overwrite, []))
    problems.of(lambda: derive_licence([], license))
    settings: dict[str, Any] = {
        "method": method,
        "tiers": "flat" if flat else "tiered",
        "temperature": temperature,
        "ridge": ridge,
        "folds": folds,
        "seed": seed,
    }
    ensemble: Ensemble | None = None
    held_out: HeldOut | None = None
    others: dict[str, Any]
    if predictions:
        if bundle or tier1 == "soup":
            problems.add("--bundle and --tier1 soup are for models; here predictions are given.")
        read = (
            problems.of(lambda: _given(families, data, tests, classes, columns, group_by, logits))
            if families
            else None
        )
        rows, others = read if read is not None else (None, {})
        if rows is not None:
            ensemble = Ensemble.from_predictions(rows)
            ensemble.tier1 = cast("Tier1", tier1)
            ensemble.columns, ensemble.grouped_by = columns, group_by
    else:
        known = problems.of(lambda: classifying_task(task)) is not None
        called = problems.of(lambda: opt.labels_of(labels))
        like = {"columns": columns, "labels": called, "group_by": group_by}
        held_out, others = _labelled(data, tests, task if known else None, like, problems)
        if finetune and train is not None:
            problems.of(partial(held_out.like, train) if held_out is not None else partial(_exists, train))
        ensemble = problems.of(
            lambda: Ensemble(
                families or members or [],
                task=task or "text-classification",
                tier1=cast("Tier1", tier1),
                labels=called,
                on_missing=cast("OnMissing", on_missing),
                device=device,
                memory=memory,
                trust_remote_code=trust_remote_code,
            )
        )
    problems.extend(setting_problems(method, settings["tiers"], tier1, temperature, ridge, folds, seed))
    if ensemble is not None and len(sources) == 1 and (predictions or task is not None):
        note_fit_problems(problems, ensemble, held_out, others, **settings)
    if push is not None:
        with problems.first():
            problems.extend(target_problems(Target(push, private), None))
    problems.raise_any()
    assert ensemble is not None
    settings["tests"] = others
    if predictions:
        ensemble.fit(**settings)
    else:
        if finetune:
            settings |= {"finetune": True, "train": train, "out": _trained(out)}
            settings |= {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
        with _trained_are_kept(out, finetune):
            ensemble.fit(held_out, **settings)
    with _trained_are_kept(out, finetune):
        path = ensemble.save(out, bundle=bundle or finetune, overwrite=overwrite, license=license)
    if finetune:
        _remove(_trained(out))
    print_warnings(ensemble.report.warnings)
    left_out = _left_out([held_out, *others.values()])
    url = None
    if push is not None:
        with _not_fitted_again(), merge_is_kept(path, push, "ensemble"):
            url = ensemble.push_to_hub(
                push,
                private=private,
                license=license,
                name_private=name_private,
                publish_private_weights=publish_private_weights,
            )
    missing = [] if ensemble.given is not None else sorted(ensemble.voters.missing)
    if as_json:
        document = {
            "path": str(path),
            "url": url,
            "missing": missing,
            "weights": ensemble.combination.weights,
            "combination": ensemble.combination.to_json(),
            "left_out": left_out,
            "report": ensemble.report.to_json(),
        }
        if ensemble.finetuning is not None:
            document["finetuning"] = ensemble.finetuning.model_dump(mode="json")
        print_json(document)
    else:
        if ensemble.finetuning is not None:
            show(f"{ensemble.finetuning.sentence()}\n")
        show(str(replace(ensemble.report, warnings=())))  # they stand on standard error
        show(f"\nWritten: {path}")
        if url:
            show(f"Published: {url}\nVerify it: hf-soup verify {push}")
    _end([*left_out, *missing])


@app.command()
def evaluate(
    target: Saved,
    data: Annotated[Path, typer.Option("--data", help="Labelled rows: CSV, JSONL or Parquet.", show_default=False)],
    test: Tests = None,
    predictions: MembersPredictions = None,
    group_by: GroupBy = None,
    column: opt.Column = None,
    member: Where = None,
    logits: Logits = False,
    on_missing: WhenMissing = "error",
    device: EnsembleDevice = None,
    memory: ModelMemory = "2GiB",
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Judge a fitted ensemble and its members on other rows, with 95 % intervals.

    Rows whose image cannot be decoded are named and left out for all members, with --on-missing reweigh also members that are missing
    or fail; the exit code is then 3: done, but with parts missing.
    """
    from hf_soup.errors import InputError
    from hf_soup.problems import Problems

    problems = Problems()
    tests = problems.of(lambda: opt.pairs(test, "--test")) or {}
    columns = problems.of(lambda: opt.pairs(column, "--column")) or {}
    ensemble = problems.of(lambda: _opened(target, member, on_missing, device, memory, trust_remote_code))
    if ensemble is None:
        problems.of(partial(_exists, data))
        for path in tests.values():
            problems.of(partial(_exists, path))
        raise InputError(problems.found)
    given: HeldOut | MemberProbabilities | None
    others: dict[str, Any]
    columns = {**ensemble.columns, **columns}
    if ensemble.given is not None and not predictions:
        problems.add(
            f"{target}: is an ensemble of ready-made predictions and holds no model that could read rows: give what its members say "
            "about them, --predictions NAME=FILE,FILE …"
        )
    if predictions:
        read = problems.of(
            lambda: _read_for(ensemble, predictions, data, tests, columns, group_by, logits, on_missing)
        )
        given, others = read if read is not None else (None, {})
    elif ensemble.given is None:
        like = {"columns": columns, "max_length": ensemble.max_length, "group_by": group_by}
        given, others = _labelled(data, tests, ensemble.task, like, problems)
    problems.raise_any()
    evaluation = ensemble.evaluate(given, tests=others)
    print_warnings(evaluation.warnings)
    left_out = _left_out([given, *others.values()])
    if as_json:
        print_json({**evaluation.to_json(), "left_out": left_out})
    else:
        show(evaluation.table())
    _end([*left_out, *evaluation.missing])


@app.command()
def predict(
    target: Saved,
    rows: Annotated[
        Path | None,
        typer.Argument(help="CSV, JSONL or Parquet, or a folder of images.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="OUT.csv, .jsonl or .parquet; else CSV is printed.", show_default=False),
    ] = None,
    predictions: MembersPredictions = None,
    column: opt.Column = None,
    early_exit: Annotated[
        bool, typer.Option("--early-exit", help="Stop asking members once the decision cannot change.")
    ] = False,
    on_missing: WhenMissing = "error",
    member: Where = None,
    logits: Logits = False,
    batch_size: BatchSize = None,
    device: EnsembleDevice = None,
    memory: ModelMemory = "2GiB",
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Predict rows with a fitted ensemble: id, predicted class, and the probability of every class.

    Rows that cannot be read are named and left out, with --on-missing reweigh also members that are missing or fail; the exit code is
    then 3: done, but with parts missing.
    """
    from hf_soup.ensembles.prediction_output import as_csv, refuse_unknown_format, write_predictions
    from hf_soup.errors import InputError

    if (rows is None) == (not predictions):
        raise InputError("Say what to predict: a file or a folder of images, or --predictions NAME=FILE,FILE …")
    if out is not None:
        refuse_unknown_format(out)
    ensemble = _opened(target, member, on_missing, device, memory, trust_remote_code)
    if predictions:
        of_ensemble = {**ensemble.columns, **opt.pairs(column, "--column")}
        found = ensemble.predict(_read_for(ensemble, predictions, None, {}, of_ensemble, None, logits, on_missing)[0])
    else:
        columns = opt.pairs(column, "--column")
        found = ensemble.predict(rows, columns=columns or None, early_exit=early_exit, batch_size=batch_size)
    print_warnings(found.warnings)
    if out is not None:
        write_predictions(out, found)
    if as_json:
        document: dict[str, Any] = {
            "path": None if out is None else str(out),
            "rows": len(found),
            "classes": found.classes,
            "forward_passes": found.forward_passes,
            "left_out": [{"row": one.row, "id": one.id, "reason": one.reason} for one in found.left_out],
            "missing": found.missing,
            "warnings": found.warnings,
        }
        if out is None:
            document["ids"], document["predicted"] = found.ids.tolist(), found.labels
            document["probabilities"] = found.probabilities.tolist()
        print_json(document)
    elif out is None:
        show(as_csv(found).rstrip("\n"))
    else:
        show(f"{len(found):,} rows predicted with {found.forward_passes:,} forward passes. Written: {out}")
    _end([*found.left_out, *found.missing])


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="The folder of an ensemble.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="user/name; made when it does not exist.", show_default=False)],
    private: opt.Private = False,
    pr: Annotated[bool, typer.Option("--pr", help="Open a pull request instead of committing.")] = False,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch to commit to; made if need be.")] = None,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    publish_private_weights: opt.PublishPrivateWeights = False,
    as_json: opt.Json = False,
) -> None:
    """Publish an ensemble with its card; the same as `hf-soup push`."""
    from hf_soup.cli.push import command

    command(folder, repo, private, pr, revision, license, name_private, publish_private_weights, as_json)


def _labelled(
    data: Path | None, tests: dict[str, str], task: str | None, like: dict[str, Any], problems: Problems
) -> tuple[HeldOut | None, dict[str, Any]]:
    """The rows in all files, as far as they can be read. `task` None: it is not known how; then they must be tables.

    `like`: options of `HeldOut`.
    """
    from hf_soup.evaluation import HeldOut

    held_out: HeldOut | None = None
    if data is not None and task is not None:
        held_out = problems.of(lambda: HeldOut(data, task=task, unreadable="leave_out", **like))
    elif data is not None:
        problems.of(partial(_exists, data))
    others: dict[str, Any] = {}
    for name, path in tests.items():
        read = partial(held_out.like, path, name) if held_out is not None else partial(_exists, path)
        others[name] = problems.of(read)
    return held_out, others


def _exists(path: str | Path) -> None:
    from hf_soup.evaluation.data_files import read_table

    read_table(path)


def _left_out(sets: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"data": rows.name, "row": one.row, "id": one.id, "reason": one.reason}
        for rows in sets
        for one in getattr(rows, "left_out", ())
    ]


def _end(left_out: Sequence[Any]) -> None:
    """Ends a command that is done; with exit code 3 where parts are missing."""
    if left_out:
        raise typer.Exit(3)


def _opened(
    target: str, member: list[str] | None, on_missing: str, device: str | None, memory: str, trust_remote_code: bool
) -> Ensemble:
    from hf_soup.ensembles import Ensemble

    return Ensemble.from_pretrained(
        target,
        members=opt.pairs(member, "--member"),
        on_missing=on_missing,
        device=device,
        memory=memory,
        trust_remote_code=trust_remote_code,
    )


def _given(
    families: dict[str, list[str]],
    labels: Path | None,
    tests: dict[str, str],
    classes: str | None,
    columns: dict[str, str],
    group_by: str | None,
    logits: bool,
) -> tuple[MemberProbabilities, dict[str, MemberProbabilities]]:
    from hf_soup.ensembles.prediction_files import read_predictions

    return read_predictions(
        families, labels, tests, classes=_names(classes), columns=columns, group_by=group_by, logits=logits
    )


def _read_for(
    ensemble: Ensemble,
    predictions: list[str],
    labels: Path | None,
    tests: dict[str, str],
    columns: dict[str, str],
    group_by: str | None,
    logits: bool,
    on_missing: str,
) -> tuple[MemberProbabilities, dict[str, MemberProbabilities]]:
    """The predictions of the ensemble's members."""
    from hf_soup.ensembles.prediction_files import read_predictions

    return read_predictions(
        opt.lists(predictions, "--predictions"),
        labels,
        tests,
        classes=ensemble.classes,
        columns=columns,
        group_by=group_by,
        logits=logits,
        members=ensemble.combination.families,
        on_missing=cast("OnMissing", on_missing),
    )


def _trained(out: Path) -> Path:
    """Where fine-tuned members lie until they are a part of the ensemble's folder; they stay there when it cannot be written."""
    target = out.expanduser().resolve()
    return target.with_name(f"{target.name}-members")


class _Interrupted(SoupError):
    exit_code = 130


@contextmanager
def _trained_are_kept(out: Path, finetune: bool) -> Iterator[None]:
    """Says, when the ensemble fails after training, where the members are, which need not be trained again.

    They are written together, after the last epoch, so that before there is nothing to go on with.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not finetune:
            raise
        if _trained(out).is_dir():
            raise _Interrupted(
                f"Interrupted. The fine-tuned members are complete in {_trained(out)}; fit an ensemble of them."
            ) from None
        raise _Interrupted(
            "Interrupted. Nothing that was trained is kept: the same command trains anew, from the first epoch."
        ) from None
    except BaseException:
        if finetune and _trained(out).is_dir():
            print_warnings([f"the fine-tuned members are complete in {_trained(out)}; fit an ensemble of them."])
        raise


@contextmanager
def _not_fitted_again() -> Iterator[None]:
    """The folder is complete while it is published, and the same command would not write there again."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted("Interrupted before everything was published.") from None


def _remove(folder: Path) -> None:
    import shutil

    from hf_soup.ranks import on_main_process

    on_main_process(lambda: shutil.rmtree(folder))


def _names(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",")] if text else None


def _output_problems(out: Path, overwrite: bool, members: Sequence[Path]) -> list[str]:
    from hf_soup.merging.output import output_problems

    return output_problems(out, overwrite, [path for path in members if path.is_dir()])
