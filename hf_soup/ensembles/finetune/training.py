"""Steps of AdamW on members and weights together, on the hardware and in the precision that Accelerate finds.

A step is `batch_size` rows, over all processes and all parts of accumulated gradients together: how many there are of these
changes memory and time, and what is learned only by rounding and by which dropout falls on which row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from accelerate.utils.memory import should_reduce_batch_size

from hf_soup.ensembles.finetune.member_mixture import MemberMixture
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.row_bar import row_bar
from hf_soup.evaluation.task import Encoded
from hf_soup.progress import say
from hf_soup.ranks import is_main_process

WEIGHT_DECAY = 0.01
"""Of the members' matrices; not of biases, of norms and of the mixture's weights."""
MIXTURE_RATE = 0.05
"""Learning rate of w. Adam moves by about its rate in a step: with that of the members the weights would stay equal."""
_WARM_UP = 0.1  # of the steps; then the rates fall linearly to zero
_LARGEST_GRADIENT = 1.0  # its norm, above which it is scaled down
_BATCHES_SORTED_TOGETHER = 16  # rows are sorted by length within so many shuffled batches, so that little is padding
_SPLIT = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


@dataclass(frozen=True)
class Schedule:
    """`learning_rate`: of the members at its highest. `batch_size`: rows of one step. `seed`: of the order of rows and of dropout."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """`encodings`: the rows in every encoding that members take. `labels`: int64 [rows]."""

    encodings: Sequence[Encoded]
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Sequence[int], device: torch.device) -> tuple[list[dict[str, torch.Tensor]], torch.Tensor]:
        inputs = [
            {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()} for encoded in self.encodings
        ]
        return inputs, self.labels[list(rows)].to(device)

    @property
    def most_rows(self) -> int:
        """At once: the fewest that one of the members allows."""
        return min([encoded.most_rows for encoded in self.encodings if encoded.most_rows is not None] or [len(self)])


@dataclass(frozen=True)
class Epoch:
    """`train_nll`: mean over the epoch, with dropout. `held_out_nll`: after it. `weights`: α after it."""

    train_nll: float
    held_out_nll: float
    weights: list[float]


def train(
    mixture: MemberMixture,
    rows: TrainingRows,
    schedule: Schedule,
    hardware: Hardware,
    judge: Callable[[], float],
) -> tuple[list[Epoch], int]:
    """Trains the mixture in place and returns (all epochs, the number from 1 of the one whose weights it now has).

    That is the one with the lowest `judge()`, a negative log-likelihood of held-out rows. Raises SoupError when a loss is not
    finite or memory does not suffice, in every process.
    """
    accelerator = _accelerator(hardware)
    optimizer = torch.optim.AdamW(_parameter_groups(mixture, schedule), lr=schedule.learning_rate)
    steps = schedule.epochs * math.ceil(len(rows) / schedule.batch_size)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    model, stepping = accelerator.prepare(mixture, optimizer)
    order = torch.Generator().manual_seed(schedule.seed)
    epochs: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    kept = 0
    with _seeded(schedule.seed, hardware):
        for number in range(1, schedule.epochs + 1):
            model.train()
            title = f"Epoch {number} of {schedule.epochs}"
            with row_bar(title, len(rows)) if hardware.is_main else nullcontext(lambda done: None) as advance:
                loss = torch.zeros((), dtype=torch.float64)
                for batch in _batches(rows, schedule.batch_size, order):
                    loss += take_step(accelerator, model, stepping, rows, batch, hardware)
                    rates.step()
                    advance(len(batch))
            epoch = Epoch(sum(hardware.gather(loss.item())) / len(rows), judge(), mixture.weights())
            _refuse_infinite(epoch, number)
            epochs.append(epoch)
            if is_main_process():
                say(f"{title}: NLL {epoch.train_nll:.4f} in training, {epoch.held_out_nll:.4f} held out")
            if not kept or epoch.held_out_nll < epochs[kept - 1].held_out_nll:
                kept, best = number, {}
                if number < schedule.epochs:
                    best = {
                        name: tensor.detach().to("cpu", copy=True) for name, tensor in mixture.state_dict().items()
                    }
    if best:
        mixture.load_state_dict(best)
    accelerator.free_memory()
    return epochs, kept


def _accelerator(hardware: Hardware) -> Accelerator:
    """Its processes and precision are those of `hardware`, which has asked Accelerate first."""
    # A classifier may have parameters that its logits do not depend on, as the pooler of some encoders.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(kwargs_handlers=[unused], device_placement=False)
    if accelerator.distributed_type in _SPLIT:
        raise InputError(
            f"Fine-tuning of an ensemble is data-parallel, each process has all members; Accelerate is configured for "
            f"{accelerator.distributed_type.value}. Choose another configuration (accelerate config)."
        )
    if accelerator.num_processes > 1 and hardware.device != accelerator.device:
        raise InputError(
            f"device='{hardware.device}' is for one process; of several each has its own device: leave it to Accelerate."
        )
    return accelerator


def take_step(
    accelerator: Accelerator,
    model: Any,
    optimizer: Any,
    rows: TrainingRows,
    batch: Sequence[int],
    hardware: Hardware,
) -> torch.Tensor:
    """One step on the rows of a batch, of which this process has a share; returns the sum of its losses, float64 on the CPU."""
    share = batch[hardware.rank :: hardware.processes]
    # Gradients are averaged over processes, and the loss is divided by the number of accumulated parts; this undoes both.
    scale = hardware.processes * accelerator.gradient_accumulation_steps / len(batch)
    total = torch.zeros((), dtype=torch.float64)
    parts = _parts(share or batch[:1], accelerator.gradient_accumulation_steps, rows.most_rows)
    try:
        for place, part in enumerate(parts, 1):
            with nullcontext() if place == len(parts) else accelerator.no_sync(model):
                # A process without rows takes part in the exchange of gradients, with one that counts nothing.
                loss = model(*rows.batch(part, hardware.device)).sum() * (1.0 if share else 0.0)
                accelerator.backward(loss * scale)
            total += loss.detach().cpu().double()
        accelerator.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        optimizer.zero_grad()
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        raise SoupError(
            f"All members and {max(map(len, parts))} rows of training at once do not fit into memory; choose a smaller batch_size, or "
            "more parts of a step: accelerate launch --gradient_accumulation_steps N."
        ) from error
    return total


def _parts(share: Sequence[int], count: int, most: int) -> list[Sequence[int]]:
    size = min(most, math.ceil(len(share) / count))
    return [share[start : start + size] for start in range(0, len(share), size)]


def _batches(rows: TrainingRows, size: int, order: torch.Generator) -> Iterator[list[int]]:
    """Row numbers of each batch of an epoch, the same in every process: random batches of rows of similar length."""
    lengths = rows.encodings[0].lengths
    shuffled = torch.randperm(len(rows), generator=order).tolist()
    group = size * _BATCHES_SORTED_TOGETHER
    batches = []
    for start in range(0, len(shuffled), group):
        alike = sorted(shuffled[start : start + group], key=lambda row: lengths[row])
        batches += [alike[first : first + size] for first in range(0, len(alike), size)]
    for place in torch.randperm(len(batches), generator=order).tolist():
        yield batches[place]


def _parameter_groups(mixture: MemberMixture, schedule: Schedule) -> list[dict[str, Any]]:
    members = [parameter for name, parameter in mixture.named_parameters() if name != "w" and parameter.requires_grad]
    matrices = [parameter for parameter in members if parameter.ndim >= 2]
    others = [parameter for parameter in members if parameter.ndim < 2]
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
        {"params": [mixture.w], "weight_decay": 0.0, "lr": MIXTURE_RATE},
    ]


def _rate(step: int, total: int) -> float:
    """The factor of the rates: up to 1 during the warm-up, then down to 0 in a straight line."""
    return min((step + 1) / max(1.0, _WARM_UP * total), (total - step) / total)


@contextmanager
def _seeded(seed: int, hardware: Hardware) -> Iterator[None]:
    """Dropout begins with the seed, another in each process; torch's generators are afterwards what they were."""
    device = hardware.device
    others = [device] if device.type in ("cuda", "xpu") else []
    with torch.random.fork_rng(devices=others, device_type=device.type if others else "cuda"):
        torch.manual_seed(seed + hardware.rank)
        yield


def _refuse_infinite(epoch: Epoch, number: int) -> None:
    for value, what in ((epoch.train_nll, "training"), (epoch.held_out_nll, "held-out")):
        if not math.isfinite(value):
            raise SoupError(
                f"The {what} loss is {value} in epoch {number}: choose a lower learning_rate, or leave out a member that gives NaN."
            )
