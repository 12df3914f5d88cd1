"""ADAPT: LoRA adapters as results. Several become one of higher or of chosen rank; a full fine-tune becomes one.

In: references of adapters, or of a model and its base. Out: a folder that PEFT loads, with a card and a record.
No base weight is read for a combination, except tensors that adapters replace in part. The arithmetic on factors is in
`low_rank`, which knows no file.
May import: `checkpoints`, `merging`, `publishing`, `errors`, `progress`. Importing this room imports neither torch nor peft.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.adapters.combine import combine_adapters
    from hf_soup.adapters.extract import extract_adapter
    from hf_soup.adapters.low_rank import Factors, Truncation, concatenated, truncated
    from hf_soup.adapters.record import AdapterRecord
    from hf_soup.adapters.write import MadeAdapter

_HOME = {
    "AdapterRecord": "record",
    "Factors": "low_rank",
    "MadeAdapter": "write",
    "Truncation": "low_rank",
    "combine_adapters": "combine",
    "concatenated": "low_rank",
    "extract_adapter": "extract",
    "truncated": "low_rank",
}

__all__ = [
    "AdapterRecord",
    "Factors",
    "MadeAdapter",
    "Truncation",
    "combine_adapters",
    "concatenated",
    "extract_adapter",
    "truncated",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
