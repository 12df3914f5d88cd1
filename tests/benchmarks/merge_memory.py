"""Anonymous memory and time of merging three models of half a gigabyte.

Run: python tests/benchmarks/merge_memory.py [MEGABYTES_PER_MODEL]     (Linux: reads /proc)
Prints the peak of anonymous memory above what the imports cost, and the wall time, without the wait for the disk at the end,
beside the time of reading the inputs and copying one output (`cat` and `cp`), which is the limit.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench_models import CASES, WARM_UP_MB, make_model, weights_of
from measured_process import measure_limit
from merge_alone import merge_alone


def measure(megabytes: int) -> dict[str, float]:
    """Returns the figures of one merge of three models, each of about `megabytes` MB in bfloat16."""
    case = CASES["linear x3"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for place, size in (root / "tiny", WARM_UP_MB), (root, megabytes):
            for seed, model in enumerate(case.sources(place), start=1):
                make_model(model, size, seed)
        limit = measure_limit(weights_of(case.sources(root)), root / "copy")
        recipe = case.write(root / "recipe.yaml", root)
        [figures] = merge_alone(recipe, root / "out", case.write(root / "tiny.yaml", root / "tiny"))
        return {
            "imports_mb": figures.imports_mb,
            "above_mb": figures.above_mb,
            "wall_s": figures.wall_s,
            "cpu_s": figures.cpu_s,
            "limit_s": limit.wall_s,
        }


if __name__ == "__main__":
    for name, value in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500).items():
        print(f"{name:>12}: {value:8.2f}")
