"""CHOOSE: which ingredients, judged on held-out data; and the table that shows what the choice is worth.

In: opened ingredients and held-out data. Out: the path of the greedy soup and an `Evidence` table.
May import: `evaluation`, `merging`, `methods`, `checkpoints`, `errors`.
"""

from hf_soup.selection.evidence import Evidence
from hf_soup.selection.greedy import GreedyPath, greedy, random_order
from hf_soup.selection.select import Selection, select_greedy

__all__ = ["Evidence", "GreedyPath", "Selection", "greedy", "random_order", "select_greedy"]
