"""COMBINE: pure functions on tensors. They know no file, no Hub and no model class.

In: blocks of tensors of equal shape, in float32 (float64 where an input is float64). Out: the combined block. A method that
must know something of a whole tensor first (a threshold, an angle) has a survey, a first pass over it (`blocks.py`).
A method is one function with the decorator `merge_method`, in a file of its own here; its signature is its schema (see
`linear.py`), and nothing else has to be touched: every module of this room is imported.
May import: `hf_soup.errors`, torch.
"""

from importlib import import_module
from pkgutil import iter_modules

from hf_soup.methods.blocks import GRANULE, Granules, Place
from hf_soup.methods.method import METHODS, Finite, MergeMethod, PerModel, merge_method, method_named

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "GRANULE",
    "METHODS",
    "Finite",
    "Granules",
    "MergeMethod",
    "PerModel",
    "Place",
    "merge_method",
    "method_named",
]
