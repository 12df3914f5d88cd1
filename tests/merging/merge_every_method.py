"""A program that merges by every method and prints the SHA-256 of each result: usage FOLDER OUT, see the tests of same bytes."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from test_merging_same_bytes import PARAMETERS

from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.methods import METHODS

folders, out = sorted(Path(sys.argv[1]).glob("whole-*")), Path(sys.argv[2])
digests = {}
for method, parameters in PARAMETERS.items():
    count = METHODS[method].exactly or 3
    base = str(folders[3]) if METHODS[method].needs_base else None
    ingredients = open_ingredients([str(folder) for folder in folders[:count]], base)
    merge(make_plan(ingredients, method, parameters), out / method)
    digests[method] = hashlib.sha256((out / method / "model.safetensors").read_bytes()).hexdigest()
print(json.dumps(digests))
