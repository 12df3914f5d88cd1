"""COMBINE: pure functions on tensors. They know no file, no Hub and no model class.

In: blocks of tensors of equal shape, in float32 (float64 where an input is float64). Out: the combined block.
A method is one function with the decorator `merge_method`; its signature is its schema (see `linear.py`).
May import: `hf_soup.errors`, torch.
"""

from hf_soup.methods.linear import linear
from hf_soup.methods.method import METHODS, Finite, MergeMethod, PerModel, merge_method, method_named

__all__ = ["METHODS", "Finite", "MergeMethod", "PerModel", "linear", "merge_method", "method_named"]
