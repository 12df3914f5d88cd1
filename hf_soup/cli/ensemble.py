"""`hf-soup ensemble`: what several models say about the same rows becomes one prediction."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.ensemble_fit import fit
from hf_soup.cli.ensemble_options import (
    BatchSize,
    EnsembleDevice,
    GroupBy,
    Logits,
    MembersPredictions,
    ModelMemory,
    Saved,
    Tests,
    WhenMissing,
    Where,
)
from hf_soup.cli.ensemble_rows import end, exists, labelled, left_out_rows
from hf_soup.cli.output import print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.ensembles import Ensemble, MemberProbabilities
    from hf_soup.ensembles.opening import OnMissing
    from hf_soup.evaluation import HeldOut

app = typer.Typer(
    help="Fit, judge, use and publish an ensemble of models, or of their predictions.", no_args_is_help=True
)
app.command()(fit)


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
        problems.of(partial(exists, data))
        for path in tests.values():
            problems.of(partial(exists, path))
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
        given, others = labelled(data, tests, ensemble.task, like, problems)
    problems.raise_any()
    evaluation = ensemble.evaluate(given, tests=others)
    print_warnings(evaluation.warnings)
    left_out = left_out_rows([given, *others.values()])
    if as_json:
        print_json({**evaluation.to_json(), "left_out": left_out})
    else:
        show(evaluation.table())
    end([*left_out, *evaluation.missing])


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
    end([*found.left_out, *found.missing])


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
