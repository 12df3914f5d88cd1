"""Families that nobody named: models of one architecture and size, over one base where that is known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from hf_soup.checkpoints import AdapterCheckpoint, Checkpoint
from hf_soup.ensembles.member import FunctionMember, Member

_HEADS = {"classifier", "classification_head", "fc", "head", "logits_proj", "pre_classifier", "score"}


def infer_families(members: Sequence[Member]) -> dict[str, tuple[Member, ...]]:
    """Returns the members by family, in the order of their first members.

    One family are full models whose tensors, the head apart, have the same names and shapes and whose config.json has the same
    model_type, and adapters over one base. A function is a family of its own. Named after the model_type ("bert", "bert-2", …;
    adapters "bert-lora"), or after the function. No weights are read.
    """
    found: dict[Hashable, list[Member]] = {}
    names: dict[Hashable, str] = {}
    for member in members:
        key, name = _kind(member)
        if key not in found:
            again = sum(other == name or other.rsplit("-", 1)[0] == name for other in names.values())
            names[key] = f"{name}-{again + 1}" if again and name in names.values() else name
        found.setdefault(key, []).append(member)
    return {names[key]: tuple(of_kind) for key, of_kind in found.items()}


def _kind(member: Member) -> tuple[Hashable, str]:
    if isinstance(member, FunctionMember):
        return ("function", member.name), member.name
    checkpoint = member.checkpoint
    model_type = str(checkpoint.config.get("model_type") or "model")
    if isinstance(checkpoint, AdapterCheckpoint):
        return ("adapter", checkpoint.base.identity), f"{model_type}-lora"
    return ("model", model_type, _body(checkpoint)), model_type


def _body(checkpoint: Checkpoint) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Names and shapes of all tensors but those of the head, which differ between tasks and not between models."""
    infos = [checkpoint.info(name) for name in checkpoint.names()]
    return tuple((info.name, info.shape) for info in infos if not _HEADS & set(info.name.split(".")))
