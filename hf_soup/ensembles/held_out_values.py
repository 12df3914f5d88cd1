"""What every member says about held-out data: from the cache where it is there, one array on disk, mapped into memory."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hf_soup.checkpoints import Checkpoint
from hf_soup.ensembles.member import Member, ModelMember
from hf_soup.ensembles.opening import OnMissing, Voters
from hf_soup.ensembles.probabilities import Family, MemberProbabilities
from hf_soup.ensembles.rows import Rows
from hf_soup.ensembles.voting import answer_of, softmax
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache
from hf_soup.evaluation.cache_key import preprocessing_digest
from hf_soup.evaluation.skeleton import layout
from hf_soup.progress import say
from hf_soup.ranks import on_main_process

_SHORT_RUN_S = 10.0


class HeldOutRun:
    """Runs members over one data set, one at a time. Predictions are kept under the digest of what they depend on, so nothing is
    run twice, but for the first model of an architecture where that takes seconds, to know its time without what starting takes;
    those of a function are not kept, since nobody can tell when it changes."""

    def __init__(
        self, held_out: HeldOut, classes: tuple[str, ...], *, device: str | None, trust_remote_code: bool
    ) -> None:
        self.held_out = held_out
        self.classes = classes
        self.seconds: dict[str, float] = {}
        """What each member took for a row, by name, as far as it is known."""
        self._device = device
        self._trust_remote_code = trust_remote_code
        self._cache = PredictionCache()
        self._evaluator: Evaluator | None = None
        self._kind = ""
        self._warm = False

    def probabilities(self, voters: Voters, on_missing: OnMissing = "error") -> MemberProbabilities:
        """Returns the probabilities of all members, with labels and groups.

        `on_missing="reweigh"`: a member that fails, or gives NaN, is left out, with a warning; otherwise, and where none is left,
        raises SoupError that names it.
        """
        said: dict[str, np.ndarray] = {}
        warnings = [f"The member {name} is left out: {reason}" for name, reason in voters.missing.items()]
        for member in voters.members:
            try:
                said[member.name] = self._said(member)
            except SoupError as error:
                if on_missing == "error":
                    raise
                warnings.append(f"The member {member.name} is left out: {error}")
                say(f"Warning: {warnings[-1]}")
        if not said:
            raise SoupError(f"No member is left. {' '.join(warnings)}")
        families: list[Family] = []
        members: list[str] = []
        for family, names in voters.names.items():
            there = [name for name in names if name in said]
            if there:
                families.append(Family(family, tuple(range(len(members), len(members) + len(there)))))
                members += there
        place = {name: index for index, name in enumerate(self.classes)}
        if unknown := sorted({each["label"] for each in self.held_out.examples} - set(place)):
            raise InputError(
                f"{self.held_out.name}: has labels that the ensemble does not know: {', '.join(unknown)}; its classes are "
                f"{', '.join(self.classes)}."
            )
        groups = self.held_out.groups
        return MemberProbabilities(
            values=_mapped([said[name] for name in members], self._cache.folder.parent / "ensembles"),
            members=tuple(members),
            families=tuple(families),
            classes=self.classes,
            ids=np.array(self.held_out.ids),
            labels=np.array([place[example["label"]] for example in self.held_out.examples], np.int64),
            groups=np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64) if groups else None,
            warnings=tuple(warnings),
        )

    def _said(self, member: Member) -> np.ndarray:
        if isinstance(member, ModelMember):
            try:
                found = self._of_model(member)
            except (RuntimeError, OSError) as error:
                raise SoupError(
                    f"{member.label}: failed while it ran ({str(error).strip().splitlines()[0]})."
                ) from error
        else:
            rows, start = Rows.of_held_out(self.held_out), time.perf_counter()
            found = on_main_process(lambda: answer_of(member, rows, self.classes))
            self.seconds[member.name] = (time.perf_counter() - start) / len(rows)
        if silent := int(np.isnan(found).any(axis=1).sum()):
            raise SoupError(
                f"{member.label}: gives NaN or infinity for {silent} of {len(found)} rows of {self.held_out.name}; leave this member out."
            )
        return found

    def _of_model(self, member: ModelMember) -> np.ndarray:
        checkpoint = member.checkpoint
        evaluator = self._evaluator_for(checkpoint, self.held_out.calling(member.called))
        if not evaluator.is_cached(checkpoint):
            say(f"Asking {member.label}")
        passes = evaluator.forward_passes
        predictions = evaluator.predictions(checkpoint)
        if predictions.classes != self.classes:
            raise InputError(
                f"{member.label}: its classes are {', '.join(predictions.classes)}, those of the ensemble {', '.join(self.classes)}."
            )
        ran = evaluator.forward_passes > passes
        if ran and not self._warm:
            evaluator.seconds_of_rows = self._seconds_without_warm_up(checkpoint, evaluator)
            self._warm = True
        self._note_seconds(member, evaluator, ran)
        return softmax(predictions.logits)

    def _evaluator_for(self, checkpoint: Checkpoint, held_out: HeldOut) -> Evaluator:
        """Models alike share one in memory and the encoded rows; of models that differ the earlier one makes room."""
        kind = f"{layout(checkpoint)} {preprocessing_digest(checkpoint.side_folder())}"
        if self._evaluator is None or kind != self._kind:
            self._evaluator = Evaluator(
                held_out, cache=self._cache, device=self._device, trust_remote_code=self._trust_remote_code
            )
            self._kind, self._warm = kind, False
            return self._evaluator
        self._evaluator = self._evaluator.on(held_out)
        return self._evaluator

    def _seconds_without_warm_up(self, checkpoint: Checkpoint, evaluator: Evaluator) -> float | None:
        """What the rows take. The first run of an architecture also starts threads and prepares kernels, which on few rows takes
        longer than they do; a short one is run again for its time."""
        seconds = evaluator.seconds_of_rows
        if not on_main_process(lambda: seconds is not None and seconds < _SHORT_RUN_S):
            return seconds
        with tempfile.TemporaryDirectory(prefix="hf-soup-") as folder:
            again = evaluator.on(evaluator.held_out)
            again.cache = PredictionCache(folder)  # where nothing is known, so that it runs
            again.predictions(checkpoint)
        return again.seconds_of_rows

    def _note_seconds(self, member: ModelMember, evaluator: Evaluator, ran: bool) -> None:
        """Kept beside the predictions, so that they can be told when nothing has to run."""
        essence = f"seconds per row {member.checkpoint.identity} {self.held_out.fingerprint} {evaluator.hardware.kind}"
        key = hashlib.sha256(essence.encode()).hexdigest()
        if ran and evaluator.seconds_of_rows is not None:
            seconds = {"seconds_per_row": evaluator.seconds_of_rows / self.held_out.rows}
            on_main_process(lambda: self._cache.put_scores(key, seconds))
            self.seconds[member.name] = seconds["seconds_per_row"]
        elif (kept := on_main_process(lambda: self._cache.get_scores(key))) is not None:
            self.seconds[member.name] = kept["seconds_per_row"]


def _mapped(said: Sequence[np.ndarray], folder: Path) -> np.ndarray:
    """The arrays as one, float32 [members, rows, classes], in a file under the digest of its content."""
    digest = hashlib.sha256(repr((len(said), said[0].shape)).encode())
    for array in said:
        digest.update(array.tobytes())
    path = folder / f"{digest.hexdigest()}.npy"
    try:
        on_main_process(lambda: _write(said, path))
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        say(f"Predictions could not be mapped from {folder} ({error}); they stay in memory.")
        return np.stack(said)


def _write(said: Sequence[np.ndarray], path: Path) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=".npy")
    try:
        with os.fdopen(handle, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(said), *said[0].shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for array in said:
                file.write(array.astype("<f4", copy=False).tobytes())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
