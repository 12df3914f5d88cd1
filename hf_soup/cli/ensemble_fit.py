"""`hf-soup ensemble fit`: weights that are learned on held-out rows, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hf_soup.cli import options as opt
from hf_soup.cli.ensemble_options import (
    Classes,
    EnsembleDevice,
    Families,
    GroupBy,
    Logits,
    ModelMemory,
    Predictions,
    Task,
    Tests,
    WhenMissing,
)
from hf_soup.cli.ensemble_rows import end, exists, labelled, left_out_rows
from hf_soup.cli.fine_tuned_members import not_fitted_again, remove, trained, trained_are_kept
from hf_soup.cli.output import merge_is_kept, print_json, print_warnings, show

if TYPE_CHECKING:
    from hf_soup.ensembles import Ensemble, MemberProbabilities
    from hf_soup.ensembles.opening import OnMissing
    from hf_soup.ensembles.tiers import Tier1
    from hf_soup.evaluation import HeldOut


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
    from hf_soup.ensembles.classifying_task import classifying_task
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
    if finetune and trained(out).exists():
        problems.add(
            f"'{trained(out)}' holds what an earlier run trained, whose ensemble was not written: fit one of these members, or remove "
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
        held_out, others = labelled(data, tests, task if known else None, like, problems)
        if finetune and train is not None:
            problems.of(partial(held_out.like, train) if held_out is not None else partial(exists, train))
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
            settings |= {"finetune": True, "train": train, "out": trained(out)}
            settings |= {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
        with trained_are_kept(out, finetune):
            ensemble.fit(held_out, **settings)
    with trained_are_kept(out, finetune):
        path = ensemble.save(out, bundle=bundle or finetune, overwrite=overwrite, license=license)
    if finetune:
        remove(trained(out))
    print_warnings(ensemble.report.warnings)
    left_out = left_out_rows([held_out, *others.values()])
    url = None
    if push is not None:
        with not_fitted_again(), merge_is_kept(path, push, "ensemble"):
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
    end([*left_out, *missing])


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


def _names(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",")] if text else None


def _output_problems(out: Path, overwrite: bool, members: Sequence[Path]) -> list[str]:
    from hf_soup.merging.output import output_problems

    return output_problems(out, overwrite, [path for path in members if path.is_dir()])
