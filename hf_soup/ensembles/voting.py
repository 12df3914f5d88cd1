"""What one member says about rows, whatever it is: float32 probabilities in the order of the ensemble's classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hf_soup.ensembles.alignment import label_map
from hf_soup.ensembles.given_arrays import OF_A_FUNCTION, read_arrays
from hf_soup.ensembles.member import FunctionMember, Member, ModelMember
from hf_soup.ensembles.member_run import LoadedModel
from hf_soup.ensembles.memory import ModelsInMemory
from hf_soup.ensembles.rows import Rows
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.task import Encoded, Task


class Voting:
    """Asks members one after another. What stays in memory between two calls is bounded by `memory_bytes`.

    Under `accelerate launch` or `torchrun` every process must make the same calls, and gets the same results.
    """

    def __init__(
        self,
        members: Sequence[Member],
        classes: tuple[str, ...],
        task: Task,
        *,
        device: str | None,
        memory_bytes: int,
        max_length: int | None = None,
        trust_remote_code: bool,
    ) -> None:
        self.classes = classes
        self._task = task
        self._device = device
        self._max_length = max_length
        self._trust_remote_code = trust_remote_code
        self._models = {member.name: member for member in members if isinstance(member, ModelMember)}
        self._maps = {name: label_map(member, classes) for name, member in self._models.items()}
        sizes = {name: member.bytes for name, member in self._models.items()}
        self._memory = ModelsInMemory(sizes, memory_bytes, self._load)
        self._encoded: tuple[Rows, str, Encoded] | None = None

    @cached_property
    def hardware(self) -> Hardware:
        return Hardware(self._device)

    def probabilities(self, member: Member, rows: Rows, batch_size: int | None = None) -> np.ndarray:
        """Returns float32 [rows, classes], the same in every process; NaN in rows for which a model gives NaN or infinity.

        Raises SoupError, naming the member, when it cannot be loaded or fails.
        """
        if isinstance(member, FunctionMember):
            return self.hardware.on_main(lambda: answer_of(member, rows, self.classes))
        found = self._maps[member.name]
        try:
            model = self._memory.get(member.name)
            logits = model.logits(rows, self._encode(model, rows), batch_size, found.logits)
        except (RuntimeError, OSError) as error:
            raise SoupError(f"{member.label}: failed while it ran ({str(error).strip().splitlines()[0]}).") from error
        return softmax(found.arrange(logits))

    def forget_rows(self) -> None:
        """Encoded rows are kept for the next member, which may share them; after the last one they are of no use."""
        self._encoded = None

    def _load(self, name: str, like: LoadedModel | None) -> LoadedModel:
        return LoadedModel(
            self._models[name].checkpoint,
            self._task,
            self.hardware,
            trust_remote_code=self._trust_remote_code,
            like=like,
        )

    def _encode(self, model: LoadedModel, rows: Rows) -> Encoded:
        if self._encoded is None or self._encoded[0] is not rows or self._encoded[1] != model.encoding:
            self._encoded = None
            self._encoded = (rows, model.encoding, model.encode(rows, self._max_length))
        return self._encoded[2]


def softmax(logits: np.ndarray) -> np.ndarray:
    """float32 [rows, classes], computed in float64; NaN in all of a row that holds NaN or infinity."""
    wide = logits.astype(np.float64)
    finite = np.isfinite(wide).all(axis=1)
    wide[~finite] = 0.0
    wide -= wide.max(axis=1, keepdims=True)
    np.exp(wide, out=wide)
    wide /= wide.sum(axis=1, keepdims=True)
    wide[~finite] = np.nan
    return wide.astype(np.float32)


def answer_of(member: FunctionMember, rows: Rows, classes: tuple[str, ...]) -> np.ndarray:
    """Calls the function and checks its answer. Raises SoupError, naming the member, for whatever it raises itself."""
    try:
        answer: Any = member.predict([dict(example) for example in rows.examples])
    except Exception as error:
        raise SoupError(f"{member.label}: the function failed ({type(error).__name__}: {error}).") from error
    columns = tuple(member.classes) if member.classes is not None else classes
    shape = np.shape(answer)
    width = shape[1] if len(shape) == 2 else 2  # one number a row is for the second of two classes
    if len(shape) not in (1, 2) or shape[0] != len(rows) or width != len(classes):
        raise InputError(
            f"{member.label}: answered with shape {list(shape)}; it was asked for {len(rows)} rows and {len(classes)} classes "
            f"({', '.join(classes)})."
        )
    checked = read_arrays(
        {member.name: [answer]},
        None,
        columns,
        None,
        None,
        [member.name],
        logits=member.logits,
        missing=True,
        wording=OF_A_FUNCTION,
    )
    place = {name: column for column, name in enumerate(columns)}
    return np.ascontiguousarray(checked.values[0][:, [place[name] for name in classes]])
