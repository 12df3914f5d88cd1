"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hf_soup.evaluation import HeldOut

Models = Annotated[
    list[str],
    typer.Argument(
        help="user/name, name@revision, name:subfolder, name:checkpoint-*, or a folder.", show_default=False
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The folder to write.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Base = Annotated[str | None, typer.Option("--base", help="The pre-trained model that the others come from.")]
Dtype = Annotated[
    str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; else as the models have it.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Memory = Annotated[str, typer.Option("--memory", help="Budget for the merge's buffers.")]
ShardSize = Annotated[str, typer.Option("--shard-size", help="Largest size of one weight file.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output folder if it exists.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Discard what an interrupted run left in OUT.partial.")]
Digests = Annotated[
    bool, typer.Option("--digests", help="Record the SHA-256 of local models; takes longer than the merge.")
]
Force = Annotated[bool, typer.Option("--force", help="Go on where the probe says the models are unrelated.")]
Push = Annotated[str | None, typer.Option("--push", help="Publish the result to this repository.")]
Private = Annotated[bool, typer.Option("--private", help="Make the repository private.")]
License = Annotated[
    str | None, typer.Option("--license", help="Licence of the result, where the ingredients' differ.")
]
NamePrivate = Annotated[bool, typer.Option("--name-private", help="Name private ingredients in a public card.")]
PublishPrivateWeights = Annotated[
    bool, typer.Option("--publish-private-weights", help="Put copies of private members into a public repository.")
]
Task = Annotated[str | None, typer.Option("--task", help="text-classification, image-classification or causal-lm.")]
Metric = Annotated[str | None, typer.Option("--metric", help="accuracy, f1_macro, nll, … (see the README).")]
Column = Annotated[list[str] | None, typer.Option("--column", help="Rename a column: text=sentence. Repeatable.")]
Labels = Annotated[
    str | None, typer.Option("--labels", help="What a model calls its labels: LABEL_0=negative,LABEL_1=positive.")
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run the models' own code from the Hub.")]


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Returns {"text": "sentence"} of ["text=sentence"]. Raises InputError naming the option."""
    from hf_soup.errors import InputError

    wrong = [text for text in texts or [] if "=" not in text]
    if wrong:
        raise InputError([f"{option} {text}: write it as name=value." for text in wrong])
    split = [(text.split("=", 1)[0], text.split("=", 1)[1]) for text in texts or []]
    names = [name for name, _ in split]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError([f"{option} {name}=…: is given twice." for name in twice])
    return dict(split)


def lists(texts: list[str] | None, option: str) -> dict[str, list[str]]:
    """Returns {"bert": ["me/a", "me/b"]} of ["bert=me/a,me/b"]. Raises InputError for a family without members."""
    from hf_soup.errors import InputError

    families = {
        name: [part.strip() for part in text.split(",") if part.strip()] for name, text in pairs(texts, option).items()
    }
    if empty := [name for name, members in families.items() if not members]:
        raise InputError(
            [f"{option} {name}=: the family has no members; name them after the = with commas." for name in empty]
        )
    return families


def labels_of(text: str | None) -> dict[str, str] | None:
    return pairs(text.split(","), "--labels") if text else None


def weights_of(text: str | None) -> list[float] | None:
    from hf_soup.errors import InputError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--weights {text}: write numbers with commas between them, such as 3,1,1.") from error


def held_out(
    data: Path | None,
    score: str | None,
    task: str | None,
    metric: str | None,
    column: list[str] | None,
    labels: str | None,
    minimise: bool,
) -> HeldOut:
    """What to judge by: a data file (--data) or a command (--score), one of the two."""
    from hf_soup.errors import InputError
    from hf_soup.evaluation import HeldOut, ScoreCommand

    if (data is None) == (score is None):
        raise InputError("Say what to judge by: --data FILE with --task TASK, or --score 'COMMAND {model}'.")
    if score is not None:
        return HeldOut(ScoreCommand(score), metric=metric, maximise=False if minimise else None)
    return HeldOut(data, task=task, metric=metric, columns=pairs(column, "--column"), labels=labels_of(labels))
