"""MERGE: ingredients and a recipe become a plan, and the plan becomes sharded safetensors.

In: opened checkpoints. Out: a `Plan` with every problem, a `VirtualCheckpoint` that computes the result on read, or a
complete folder. May import: `checkpoints`, `methods`, `errors`.
"""

from hf_soup.merging.derive import derive
from hf_soup.merging.ingredients import Ingredients, open_ingredients
from hf_soup.merging.plan import Plan, make_plan
from hf_soup.merging.probe import Probe, probe
from hf_soup.merging.produce import merge
from hf_soup.merging.record import RECORD_NAME, FileRecord, IngredientRecord, SoupRecord
from hf_soup.merging.virtual import VirtualCheckpoint

__all__ = [
    "RECORD_NAME",
    "FileRecord",
    "IngredientRecord",
    "Ingredients",
    "Plan",
    "Probe",
    "SoupRecord",
    "VirtualCheckpoint",
    "derive",
    "make_plan",
    "merge",
    "open_ingredients",
    "probe",
]
