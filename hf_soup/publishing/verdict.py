"""What `verify` found: for each tensor, for each file, and for the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

_SHOWN = 10
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar of that title and number of bytes, and yields the function that advances it."""


class Verdict(StrEnum):
    IDENTICAL = "identical"
    EQUAL = "equal within rounding"
    """Other bytes that stand for the same update of a module, see `Verification.tolerance`."""
    ROUNDING = "within one rounding"
    DIFFERENT = "different"


@dataclass(frozen=True)
class TensorVerdict:
    """`differing`: elements whose bits differ, of `elements`; `max_difference`: the largest absolute difference."""

    name: str
    verdict: Verdict
    elements: int
    differing: int = 0
    max_difference: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class FileVerdict:
    """A file beside the weights, or the layout of a weight file. `counts`: whether it speaks against the card."""

    path: str
    finding: str
    counts: bool


@dataclass(frozen=True)
class Verification:
    """The result of `verify`. `contradictions`: what soup.json, the card and the Hub say differently of one thing.

    `tolerance`: how far the updates of an adapter's modules may be apart and count as equal; "" where bytes are compared.
    """

    target: str
    ingredients: tuple[str, ...]
    device: str
    tensors: tuple[TensorVerdict, ...]
    files: tuple[FileVerdict, ...]
    contradictions: tuple[str, ...]
    tolerance: str = ""

    @property
    def weights(self) -> Verdict:
        """The verdict on the tensors alone."""
        found = {tensor.verdict for tensor in self.tensors}
        worst_first = (Verdict.DIFFERENT, Verdict.ROUNDING, Verdict.EQUAL)
        return next((one for one in worst_first if one in found), Verdict.IDENTICAL)

    @property
    def verdict(self) -> Verdict:
        """A rounding is accepted of a merge that was made on a GPU; on a CPU every bit must be equal."""
        if self.contradictions or any(file.counts for file in self.files):
            return Verdict.DIFFERENT
        if self.weights is Verdict.ROUNDING and self.device == "cpu":
            return Verdict.DIFFERENT
        return self.weights

    @property
    def exit_code(self) -> int:
        return 4 if self.verdict is Verdict.DIFFERENT else 0

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object; of the tensors it lists those that are not identical."""
        counts = {str(one): sum(tensor.verdict is one for tensor in self.tensors) for one in Verdict}
        return {
            "target": self.target,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "device": self.device,
            "tolerance": self.tolerance,
            "ingredients": list(self.ingredients),
            "weights": {"verdict": self.weights, "tensors": counts},
            "tensors": [_as_json(tensor) for tensor in self.tensors if tensor.verdict is not Verdict.IDENTICAL],
            "files": [asdict(file) for file in self.files],
            "contradictions": list(self.contradictions),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        heads = {
            Verdict.IDENTICAL: "is what its card says: every byte of the weights follows from the ingredients.",
            Verdict.EQUAL: f"is what its card says, equal within rounding: {self.tolerance}.",
            Verdict.ROUNDING: f"is what its card says, within one rounding: it was made on {self.device}.",
            Verdict.DIFFERENT: "is NOT what its card says.",
        }
        yield f"{self.target} {heads[self.verdict]}"
        yield f"  derived again from {', '.join(self.ingredients)}"
        unequal = [tensor for tensor in self.tensors if tensor.verdict is not Verdict.IDENTICAL]
        yield f"  tensors: {len(self.tensors) - len(unequal)} of {len(self.tensors)} identical"
        if self.weights is Verdict.ROUNDING and self.device == "cpu":
            yield "  the record says that it was made on a CPU, where no rounding may differ"
        for tensor in unequal[:_SHOWN]:
            if tensor.note:
                yield f"  tensor '{tensor.name}': {tensor.note}"
            else:
                yield (
                    f"  tensor '{tensor.name}': {tensor.verdict}: {tensor.differing:,} of {tensor.elements:,} elements, "
                    f"by at most {tensor.max_difference:.3g}"
                )
        if len(unequal) > _SHOWN:
            yield f"  … and {len(unequal) - _SHOWN} more tensors; --json lists them all"
        for file in self.files:
            yield f"  {'file' if file.counts else 'note'}: {file.path}: {file.finding}"
        for contradiction in self.contradictions:
            yield f"  {contradiction}"


def _as_json(tensor: TensorVerdict) -> dict[str, Any]:
    """JSON has no infinity: a difference from a number that is none is null."""
    found = asdict(tensor)
    return found if math.isfinite(tensor.max_difference) else {**found, "max_difference": None}
