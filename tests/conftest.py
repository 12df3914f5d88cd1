"""One loopback Hub for the whole run, started before any import of huggingface_hub, which reads its address then."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.localhub import LocalHub

_REPO_NUMBER = itertools.count(1)
_HOME = Path(tempfile.mkdtemp(prefix="hf-soup-tests-"))
_HUB = LocalHub(_HOME / "hub").start()
for name in [key for key in os.environ if key.startswith(("HF_", "HUGGING"))]:
    del os.environ[name]
os.environ.update(_HUB.environment())
os.environ.update(
    HF_HOME=str(_HOME / "home"),
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_UPDATE_CHECK="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    DISABLE_SAFETENSORS_CONVERSION="1",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
)


@atexit.register
def _remove() -> None:
    _HUB.stop()
    shutil.rmtree(_HOME, ignore_errors=True)


import pytest  # noqa: E402

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Tiny models: torch's threads would cost more than they do."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """The loopback Hub with an empty request log and no faults; repositories of earlier tests are still there."""
    _HUB.faults.clear()
    _HUB.clear_requests()
    yield _HUB
    _HUB.faults.clear()


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi()


@pytest.fixture
def repo(api: HfApi) -> str:
    """A new, empty model repository of the user, by its ID."""
    name = f"tester/model-{next(_REPO_NUMBER)}"
    api.create_repo(name)
    return name


@pytest.fixture
def hub_user() -> str:
    """The user whose token the client has."""
    return "tester"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    missing = pytest.mark.skip(reason="needs an accelerator that torch can use")
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(missing)
