"""Files on the loopback Hub that tests read by ranges, with a back-off that only notes how long it would wait."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hf_soup.checkpoints.backoff import Backoff
from hf_soup.checkpoints.folder import HubFolder
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.remote_file import RemoteFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from hf_soup.localhub import LocalHub


@pytest.fixture
def waits() -> list[float]:
    """The seconds that a reader with the `backoff` of this test would have waited."""
    return []


@pytest.fixture
def backoff(waits: list[float]) -> Backoff:
    return Backoff(stall_s=5, wait=lambda signal, seconds: waits.append(seconds))


@pytest.fixture
def stored(api: HfApi, hub: LocalHub, repo: str, backoff: Backoff) -> Callable[..., RemoteFile]:
    """Uploads a file to the test's repository and returns it for reading; the log of requests is empty then."""

    def store(data: bytes, path: str = "model.safetensors", backoff: Backoff = backoff) -> RemoteFile:
        sha = api.upload_file(path_or_fileobj=data, path_in_repo=path, repo_id=repo).oid
        folder = HubFolder(PinnedRef(repo, repo_id=repo, revision=sha), backoff=backoff)
        file = folder.remote_file(path)
        hub.clear_requests()
        return file

    return store


@pytest.fixture(scope="session")
def random_bytes() -> Callable[[int], bytes]:
    return random.Random(0).randbytes
