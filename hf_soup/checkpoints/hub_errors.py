"""The Hub's and the network's failures as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hf_soup.errors import HubError, InputError


@contextmanager
def hub_errors(label: str) -> Iterator[None]:
    """Turns errors of huggingface_hub inside the block into InputError or HubError; `label` names the model."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # httpx.HTTPError under huggingface_hub 1.x and httpx2.HTTPError under 2.x: connection errors, timeouts.
    transport_error: type[Exception] = HfHubHTTPError.__mro__[1]
    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            f"{label}: the repository is gated and this token has no access; ask for access on its page on the Hub, "
            "then log in with `hf auth login` or pass token=."
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{label}: no such model repository, or it is private and the token cannot see it; check the spelling, "
            "or log in with `hf auth login` or pass token=."
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"{label}: the repository has no such branch, tag or commit.") from error
    except RemoteEntryNotFoundError as error:
        raise InputError(f"{label}: the Hub has no such file at this commit ({error}).") from error
    except HFValidationError as error:
        raise InputError(f"{label}: not a valid Hub ID ({error}).") from error
    except OfflineModeIsEnabled as error:
        raise InputError(f"{label}: HF_HUB_OFFLINE is set; unset it, or give the folder of a local copy.") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{label}: the Hub could not be reached and the file is not in the cache ({error}).") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no"
        raise HubError(
            f"{label}: the Hub answered with status {status} ({first_line(error)}); run the command again."
        ) from error
    except transport_error as error:
        raise HubError(
            f"{label}: the connection to the Hub failed ({first_line(error)}); run the command again."
        ) from error


def first_line(error: BaseException) -> str:
    """Returns the message's first line, or the error's kind where it has no message."""
    return str(error).strip().split("\n")[0] or type(error).__name__
