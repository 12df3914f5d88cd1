"""`hf-soup ensemble`: what several models say about the same rows becomes one prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.ensembles import Ensemble, MemberProbabilities
    from hf_soup.ensembles.opening import OnMissing
    from hf_soup.ensembles.tiers import Tier1
    from hf_soup.evaluation import HeldOut

app = typer.Typer(
    help="Fit, judge, use and publish an ensemble of models, or of their predictions.", no_args_is_help=True
)

Saved = Annotated[str, typer.Argument(help="The folder of an ensemble, or its repository.", show_default=False)]
Families = Annotated[
    list[str] | None,
    typer.Option("--family", help="Members of one family: NAME=ID,ID. Repeatable.", show_default=False),
]
Predictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        help="Instead of models their predictions, a file a member: NAME=FILE,FILE. Repeatable.",
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
    task: opt.Task = None,
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
    overwrite: opt.Overwrite = False,
    on_missing: WhenMissing = "error",
    device: EnsembleDevice = None,
    memory: ModelMemory = "2GiB",
    push: opt.Push = None,
    private: opt.Private = False,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    trust_remote_code: opt.TrustRemoteCode = False,
    as_json: opt.Json = False,
) -> None:
    """Learn how much each family counts on held-out rows, report what that is worth, and save it."""
    from hf_soup.ensembles import Ensemble
    from hf_soup.ensembles.prediction_files import read_predictions
    from hf_soup.errors import InputError
    from hf_soup.publishing import Target, target_problems

    sources = [
        name for name, given in (("members", members), ("--family", family), ("--predictions", predictions)) if given
    ]
    problems = []
    if len(sources) != 1:
        problems.append(
            f"Say who votes in one way, {' and '.join(sources) or 'none'} is given: --family NAME=ID,ID …, or members by themselves, "
            "or --predictions NAME=FILE,FILE …"
        )
    if data is None:
        problems.append("Say which labelled rows to fit on: --data FILE.")
    problems += _output_problems(out, overwrite, [Path(name) for name in members or []])
    if push is not None:
        problems += target_problems(Target(push, private), None)
    if problems:
        raise InputError(problems)
    families = opt.lists(predictions or family, "--predictions" if predictions else "--family")
    tests = {name: Path(path) for name, path in opt.pairs(test, "--test").items()}
    settings: dict[str, Any] = {
        "method": method,
        "tiers": "flat" if flat else "tiered",
        "temperature": temperature,
        "ridge": ridge,
        "folds": folds,
        "seed": seed,
        "tests": tests,
    }
    if predictions:
        if bundle or tier1 == "soup":
            raise InputError("--bundle and --tier1 soup are for models; here predictions are given.")
        rows, others = read_predictions(
            families,
            data,
            tests,
            classes=_names(classes),
            columns=opt.pairs(column, "--column"),
            group_by=group_by,
            logits=logits,
        )
        ensemble = Ensemble.from_predictions(rows)
        ensemble.tier1 = cast("Tier1", tier1)
        ensemble.columns, ensemble.grouped_by = opt.pairs(column, "--column"), group_by
        ensemble.fit(**{**settings, "tests": others})
    else:
        held_out = _held_out(data, task, column, labels, group_by)
        ensemble = Ensemble(
            families or members or [],
            task=str(held_out.task),
            tier1=cast("Tier1", tier1),
            labels=opt.labels_of(labels),
            on_missing=cast("OnMissing", on_missing),
            device=device,
            memory=memory,
            trust_remote_code=trust_remote_code,
        ).fit(held_out, **settings)
    path = ensemble.save(out, bundle=bundle, overwrite=overwrite, license=license)
    print_warnings(ensemble.report.warnings)
    url = None
    if push is not None:
        with merge_is_kept(path, push, "ensemble"):
            url = ensemble.push_to_hub(push, private=private, license=license, name_private=name_private)
    if as_json:
        document = {
            "path": str(path),
            "url": url,
            "weights": ensemble.weights,
            "combination": ensemble.combination.to_json(),
            "report": ensemble.report.to_json(),
        }
        print_json(document)
        return
    show(str(ensemble.report))
    show(f"\nWritten: {path}")
    if url:
        show(f"Published: {url}\nVerify it: hf-soup verify {push}")


@app.command()
def evaluate(
    target: Saved,
    data: Annotated[Path, typer.Option("--data", help="Labelled rows: CSV, JSONL or Parquet.", show_default=False)],
    test: Tests = None,
    predictions: Predictions = None,
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
    """Judge a fitted ensemble and its members on other rows, with 95 % intervals."""
    ensemble = _opened(target, member, on_missing, device, memory, trust_remote_code)
    tests = {name: Path(path) for name, path in opt.pairs(test, "--test").items()}
    given: HeldOut | MemberProbabilities
    others: dict[str, Any]
    if predictions:
        given, others = _read_for(ensemble, predictions, data, tests, column, group_by, logits)
    else:
        given = _held_out(data, ensemble.task, column, None, group_by, ensemble.columns)
        others = {name: given.like(path, name) for name, path in tests.items()}
    evaluation = ensemble.evaluate(given, tests=others)
    print_warnings(evaluation.warnings)
    if as_json:
        print_json(evaluation.to_json())
    else:
        show(str(evaluation))


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
    predictions: Predictions = None,
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
    """Predict rows with a fitted ensemble: id, predicted class, and the probability of every class."""
    from hf_soup.ensembles.prediction_output import as_csv, refuse_unknown_format, write_predictions
    from hf_soup.errors import InputError

    if (rows is None) == (not predictions):
        raise InputError("Say what to predict: a file or a folder of images, or --predictions NAME=FILE,FILE …")
    if out is not None:
        refuse_unknown_format(out)
    ensemble = _opened(target, member, on_missing, device, memory, trust_remote_code)
    if predictions:
        found = ensemble.predict(_read_for(ensemble, predictions, None, {}, column, None, logits)[0])
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


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="The folder of an ensemble.", show_default=False)],
    repo: Annotated[str, typer.Argument(help="user/name; made when it does not exist.", show_default=False)],
    private: opt.Private = False,
    pr: Annotated[bool, typer.Option("--pr", help="Open a pull request instead of committing.")] = False,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch to commit to; made if need be.")] = None,
    license: opt.License = None,
    name_private: opt.NamePrivate = False,
    as_json: opt.Json = False,
) -> None:
    """Publish an ensemble with its card; the same as `hf-soup push`."""
    from hf_soup.cli.push import command

    command(folder, repo, private, pr, revision, license, name_private, as_json)


def _held_out(
    data: Path | None,
    task: str | None,
    column: list[str] | None,
    labels: str | None,
    group_by: str | None,
    columns: dict[str, str] | None = None,
) -> HeldOut:
    from hf_soup.evaluation import HeldOut

    return HeldOut(
        data,
        task=task,
        columns={**(columns or {}), **opt.pairs(column, "--column")},
        labels=opt.labels_of(labels),
        group_by=group_by,
    )


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


def _read_for(
    ensemble: Ensemble,
    predictions: list[str],
    labels: Path | None,
    tests: dict[str, Path],
    column: list[str] | None,
    group_by: str | None,
    logits: bool,
) -> tuple[MemberProbabilities, dict[str, MemberProbabilities]]:
    """The predictions of the ensemble's members, from files that are called as those that it was fitted on."""
    from hf_soup.ensembles.prediction_files import read_predictions

    return read_predictions(
        opt.lists(predictions, "--predictions"),
        labels,
        tests,
        classes=ensemble.classes,
        columns={**ensemble.columns, **opt.pairs(column, "--column")},
        group_by=group_by,
        logits=logits,
    )


def _names(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",")] if text else None


def _output_problems(out: Path, overwrite: bool, members: Sequence[Path]) -> list[str]:
    from hf_soup.merging.output import output_problems

    return output_problems(out, overwrite, [path for path in members if path.is_dir()])
