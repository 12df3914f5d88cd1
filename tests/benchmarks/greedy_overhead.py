"""What greedy selection costs beside its forward passes.

Run: python tests/benchmarks/greedy_overhead.py MODEL MODEL ... --data held_out.csv --task text-classification
Uses a cache of its own, so that every evaluation is really made. Prints seconds in forward passes and in all of the
selection (planning, computing candidates, copying them into the model in memory, scoring), and their ratio.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache, evaluator
from hf_soup.merging import make_plan, open_ingredients
from hf_soup.selection import select_greedy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--task", required=True)
    arguments = parser.parse_args()
    ingredients = open_ingredients(arguments.models)
    for model in ingredients.models:
        model.fetch()
    held_out = HeldOut(arguments.data, task=arguments.task)
    forward = 0.0
    run_rows = evaluator.run_rows

    def timed(*args, **kwargs):
        nonlocal forward
        start = time.perf_counter()
        result = run_rows(*args, **kwargs)
        forward += time.perf_counter() - start
        return result

    evaluator.run_rows = timed
    with tempfile.TemporaryDirectory() as folder:
        judge = Evaluator(held_out, cache=PredictionCache(Path(folder)))
        judge.score(
            ingredients.models[0]
        )  # imports, the model in memory and the tokenised rows: paid once by any evaluation
        forward = 0.0
        judge = judge.on(held_out)
        judge.cache = PredictionCache(Path(folder) / "second")
        start = time.perf_counter()
        select_greedy(ingredients, judge, lambda subset: make_plan(ingredients.subset(subset), checks=False))
        whole = time.perf_counter() - start
    print(f"forward passes {forward:.2f} s, selection {whole:.2f} s, ratio {whole / forward:.3f}")


if __name__ == "__main__":
    main()
