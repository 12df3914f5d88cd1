"""A Hugging Face Hub on loopback: for the demo, for tests, and for work without a network.

In: HTTP requests of unmodified clients (huggingface_hub, transformers, peft), and a folder.
Out: the answers that the Hub gives, and in the folder bare git repositories that git itself can read, with large files
beside them as git-lfs lays them out.
May import: hf_soup.errors, starlette, uvicorn, PyYAML; with xet also hf_xet. It imports no client library, so that it can
be started before the environment variables are set that huggingface_hub reads when it is imported.

>>> from hf_soup.localhub import LocalHub
>>> with LocalHub(root="hub") as hub:
...     print(hub.environment())
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hf_soup.errors import SoupError

if TYPE_CHECKING:
    from hf_soup.localhub.accounts import User
    from hf_soup.localhub.faults import Fault, Faults
    from hf_soup.localhub.log import Request
    from hf_soup.localhub.server import LocalHub

__all__ = ["Fault", "Faults", "LocalHub", "Request", "User"]

_HOME = {"Fault": "faults", "Faults": "faults", "LocalHub": "server", "Request": "log", "User": "accounts"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise SoupError(f'The local hub needs {package}, which is not installed: pip install "hf-soup[hub]"')
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
