"""Ways to fit a combination: each is one function with the decorator `ensemble_method`, in a file of its own here.

In: `Inputs`. Out: a `Fit`, weights or coefficients. Every module of this room is imported, so nothing else has to be touched.
"""

from importlib import import_module
from pkgutil import iter_modules

from hf_soup.ensembles.methods.method import METHODS, EnsembleMethod, Fit, ensemble_method, method_named

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["METHODS", "EnsembleMethod", "Fit", "ensemble_method", "method_named"]
