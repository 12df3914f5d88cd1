"""Publishing a report with its forecasts as a data set: every check first, then one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.forecasting.forecasts import Forecasts
from hf_soup.forecasting.question import Question
from hf_soup.forecasting.scrub import scrub, secrets_of_environment
from hf_soup.progress import say
from hf_soup.publishing.destination import commit, look_at, prepare
from hf_soup.publishing.leak_scan import leaks_by_file
from hf_soup.publishing.licences import Licence, derive_licence
from hf_soup.publishing.push_errors import push_errors
from hf_soup.reporting.forecast_report import Report
from hf_soup.reporting.published_files import published_files
from hf_soup.reporting.report_card import report_card

CARD_NAME = "README.md"
_KEY = "what looks like a provider's key, or the value of a variable that is called a key, a token or a secret"


def push_report(
    report: Report,
    repo_id: str,
    *,
    questions: Sequence[Question] | None = None,
    texts: Mapping[str, str] | None = None,
    run: Forecasts | None = None,
    private: bool = False,
    license: str | None = None,
    with_transcripts: bool = False,
    token: str | bool | None = None,
    warn: Callable[[str], None] = say,
) -> str:
    """Publishes the report and what it was made from as one commit to a data set, and returns the address of the commit.

    `questions`: as they were read; without them what the table and `texts`, id → text, say of them is published. `run`: where
    the forecasts come from; its transcripts go along only `with_transcripts`. `private`: of a repository that is made now; an
    existing one stays what it is. `license`: the Hub's identifier. Addresses of servers, paths and reasons of failed
    requests are left out. Interrupted, the same call goes on.

    Raises InputError, before anything is sent, for an unknown licence and for tokens, keys or paths of this machine in a file;
    HubError when the Hub fails.
    """
    from huggingface_hub import HfApi

    licence = known_licence(license)
    contents = published_files(
        report, questions=questions, texts=texts or {}, run=run, with_transcripts=with_transcripts
    )
    contents[CARD_NAME] = report_card(report, contents, licence, repo_id=repo_id, ready_made=run is None).encode()
    refuse_secrets(contents, run.path if run is not None else Path.cwd(), token)
    if licence is None:
        warn(
            "The card states no licence, so others may not know what they may do with it; give one with --license ID."
        )
    with push_errors(repo_id):
        place = prepare(look_at(HfApi(token=token), repo_id, None, private, "dataset"))
        return commit(place, dict(contents), "Forecasts and their report", False, warn)


def known_licence(license: str | None) -> Licence | None:
    """Raises InputError for an identifier that the Hub does not know."""
    return None if license is None else derive_licence([], license)


def refuse_secrets(contents: Mapping[str, bytes], folder: Path, token: str | bool | None) -> None:
    """Raises InputError where a file holds a token, a provider's key, or a path of this machine: what is found, and in which files."""
    files: dict[str, list[str]] = {}
    for name, what in leaks_by_file(contents, folder, token=token, own=contents.keys()):
        files.setdefault(what, []).append(name)
    secrets = secrets_of_environment()
    for name, content in sorted(contents.items()):
        text = content.decode()
        if scrub(text, secrets) != text:
            files.setdefault(_KEY, []).append(name)
    if files:
        raise InputError(
            [
                f"{', '.join(names)} of the data set would hold {what}; take it out of the forecasts or questions first."
                for what, names in files.items()
            ]
        )
