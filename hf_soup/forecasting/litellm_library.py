"""litellm, imported so that it neither calls out nor reads files that nobody named."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from hf_soup.errors import InputError

_SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its import fetches a price list
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # and another list
    "LITELLM_MODE": "PRODUCTION",  # else its import loads a .env file that lies near the package, keys included
}


@cache
def litellm() -> Any:
    """Returns the module, with its own retries, cache and messages off. Raises InputError where it is not installed.

    Its import takes some seconds, so it happens when a call is near.
    """
    os.environ.update(_SETTINGS)
    try:
        import litellm
    except ModuleNotFoundError as error:
        if error.name != "litellm":
            raise
        raise InputError('Asking models needs litellm: pip install "hf-soup[forecast]".') from error
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.cache = None
    litellm.num_retries = None
    litellm.drop_params = False  # a parameter that is left out must be known and recorded
    return litellm
