"""What the Hub answers to somebody who publishes, as sentences that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from hf_soup.checkpoints.hub_errors import hub_errors
from hf_soup.errors import HubError, InputError

AGAIN = "run the same push again, it uploads only what is missing"


@contextmanager
def push_errors(repo_id: str, again: str = AGAIN) -> Iterator[None]:
    """Turns errors of huggingface_hub inside the block into InputError (do something else) or HubError (try again).

    `again`: how to try again, for the message.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with hub_errors(repo_id):
            try:
                yield
            except (GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError):
                raise
            except HfHubHTTPError as error:
                _by_status(repo_id, error, again)
                raise
            except json.JSONDecodeError as error:
                raise HubError(f"{repo_id}: the Hub's answer could not be read ({error}); {again}.") from error
            except RuntimeError as error:  # what hf_xet raises when a transfer fails
                raise HubError(f"{repo_id}: the upload failed ({_one_line(error)}); {again}.") from error
            except ValueError as error:  # the Hub's verdict on the front matter comes as one
                raise InputError(f"{repo_id}: the Hub refuses the card: {_one_line(error)}") from error
    except LocalTokenNotFoundError as error:
        raise InputError(
            f"{repo_id}: publishing needs a token; log in with `hf auth login` or pass token=."
        ) from error
    except HubError as error:
        raise HubError(str(error).replace("run the command again", again)) from error.__cause__


def _by_status(repo_id: str, error: Exception, again: str) -> None:
    status = status_of(error)
    said = str(error).strip().splitlines()[-1] if str(error).strip() else "no reason given"
    if status == 401:
        raise InputError(
            f"{repo_id}: the Hub does not accept the token; log in with `hf auth login` or pass token=."
        ) from error
    if status == 403:
        raise InputError(
            f"{repo_id}: this token may not write there ({said}); use a token with write access, another repository, or "
            "open a pull request with --pr."
        ) from error
    if status == 412:
        raise HubError(
            f"{repo_id}: the branch moved while the files were uploaded, and nothing was changed; {again}."
        ) from error
    if status == 413:
        raise InputError(
            f"{repo_id}: the Hub refuses the size of a file ({said}); merge with a smaller --shard-size."
        ) from error
    if status in (400, 422):
        raise InputError(f"{repo_id}: the Hub refuses what was to be published ({said}).") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def status_of(error: Exception) -> int | None:
    """The HTTP status of an error of huggingface_hub, None when there was no answer."""
    response = getattr(error, "response", None)
    return response.status_code if response is not None else None
