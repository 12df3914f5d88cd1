"""Records and evidence as a selection writes them."""

from __future__ import annotations

import hashlib
from typing import Any

from hf_soup.merging.record import FileRecord, IngredientRecord, SoupRecord

NAMES = ("tester/run-0", "tester/run-1", "tester/run-2", "tester/run-3", "tester/run-4")
CONFIG: dict[str, Any] = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}


def ingredient(name: str, *, local: bool = False) -> IngredientRecord:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return IngredientRecord(
        name=name,
        repo_id=None if local else name,
        revision=None if local else digest[:40],
        fingerprint=digest,
        files={"model.safetensors": FileRecord(size=1, sha256=digest)},
    )


def record(names: tuple[str, ...] = NAMES[:3], **changes: Any) -> SoupRecord:
    fields: dict[str, Any] = {
        "hf_soup": "0.1.0",
        "method": "linear",
        "parameters": {"weight": [1.0] * len(names), "normalize": True},
        "ingredients": [ingredient(name) for name in names],
        "donor": 0,
        "shard_bytes": 5_000_000_000,
        "device": "cpu",
    }
    return SoupRecord(**{**fields, **changes})


def selection() -> dict[str, Any]:
    candidates = [ingredient(name) for name in NAMES]
    return {
        "algorithm": "greedy",
        "rule": ">=",
        "order": "score",
        "seed": None,
        "metric": "accuracy",
        "maximise": True,
        "candidates": [
            {
                "name": one.name,
                "repo_id": one.repo_id,
                "revision": one.revision,
                "subfolder": None,
                "fingerprint": one.fingerprint,
            }
            for one in candidates
        ],
        "scores": [0.879, 0.885, 0.881, 0.874, 0.870],
        "steps": [
            {"candidate": 1, "subset": [1], "score": 0.885, "accepted": True},
            {"candidate": 2, "subset": [1, 2], "score": 0.889, "accepted": True},
            {"candidate": 0, "subset": [1, 2, 0], "score": 0.891, "accepted": True},
            {"candidate": 3, "subset": [1, 2, 0, 3], "score": 0.887, "accepted": False},
            {"candidate": 4, "subset": [1, 2, 0, 4], "score": 0.890, "accepted": False},
        ],
        "chosen": [1, 2, 0],
        "data": {"name": "held_out.csv", "rows": 1500, "fingerprint": "ab" * 32, "task": "text-classification"},
    }


def _result(value: float, rows: int) -> dict[str, Any]:
    half = 1.96 * (value * (1 - value) / rows) ** 0.5
    return {"value": value, "low": round(value - half, 4), "high": round(value + half, 4), "n": rows}


def evidence() -> dict[str, Any]:
    kinds = [*("ingredient",) * 5, "best single", "mean single", "uniform soup", "greedy soup", "logit ensemble"]
    names = [*NAMES, NAMES[1], "mean single", "uniform soup", "greedy soup", "logit ensemble"]
    held_out = [0.879, 0.885, 0.881, 0.874, 0.870, 0.885, 0.878, 0.889, 0.891, 0.890]
    test = [0.917, 0.916, 0.915, 0.914, 0.912, 0.916, 0.915, 0.931, 0.929, 0.926]
    shift = [0.736, 0.744, 0.739, 0.731, 0.728, 0.744, 0.736, 0.743, 0.746, 0.741]
    rows = [
        {
            "name": name,
            "kind": kind,
            "chosen": kind == "greedy soup" or (kind == "ingredient" and index < 3),
            "note": "",
            "results": {
                "held-out": _result(held_out[index], 1500),
                "test": _result(test[index], 1500),
                "adjectives": _result(shift[index], 900),
            },
        }
        for index, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    return {
        "metric": "accuracy",
        "maximise": True,
        "confidence": 0.95,
        "sets": [
            {"name": "held-out", "role": "held-out", "data": "held_out.csv", "rows": 1500, "fingerprint": "ab" * 32},
            {"name": "test", "role": "test", "data": "test.csv", "rows": 1500, "fingerprint": "cd" * 32},
            {"name": "adjectives", "role": "shift", "data": "adjectives.csv", "rows": 900, "fingerprint": "ef" * 32},
        ],
        "rows": rows,
        "differences": [
            {"set": "test", "of": "greedy soup", "against": "best single", "value": 0.013, "low": 0.002, "high": 0.024}
        ],
        "statements": [
            "On the test set the greedy soup is better than tester/run-1 by 1.3 points (95 % interval 0.2 to 2.4)."
        ],
    }
