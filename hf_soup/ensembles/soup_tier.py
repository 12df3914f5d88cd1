"""Tier 1 in weight space: the members of a family become one model, and their forward passes one."""

from __future__ import annotations

from collections.abc import Sequence

from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.ensembles.member import Member, ModelMember
from hf_soup.ensembles.opening import Voters
from hf_soup.errors import InputError
from hf_soup.merging import Ingredients, make_plan, probe


def souped(voters: Voters) -> Voters:
    """Returns the voters with each family of several models as one member, called like the family: their uniform soup.

    The soup is computed where its tensors are read and never written. Downloads the weights, because ancestry shows in them.
    A family of one member stays as it is. Raises InputError, with the problems of all families, for members that share no
    ancestor, are of other architectures or label orders, or are functions.
    """
    problems: list[str] = []
    families: dict[str, tuple[Member, ...]] = {}
    for family, members in voters.families.items():
        try:
            families[family] = members if len(members) == 1 else (_soup(family, members),)
        except InputError as error:
            problems += [f"The family '{family}' cannot be souped: {problem}" for problem in error.problems]
    if problems:
        raise InputError([*problems, "Say tier1='mean' (--tier1 mean) to average what the members of a family say."])
    return Voters(families, voters.missing)


def _soup(family: str, members: Sequence[Member]) -> ModelMember:
    checkpoints, called = [], []
    for member in members:
        checkpoint = member.checkpoint if isinstance(member, ModelMember) else None
        if not isinstance(member, ModelMember) or not isinstance(checkpoint, StoredCheckpoint):
            raise InputError(f"{member.label} has no weights.")
        checkpoints.append(checkpoint)
        called.append(dict(member.called))
    if any(names != called[0] for names in called):
        raise InputError("its members call their classes by other names (labels), so their heads cannot be averaged.")
    # On the CPU, where the result is the same on every machine.
    plan = make_plan(Ingredients(tuple(checkpoints)))
    plan.raise_problems()
    for checkpoint in checkpoints:
        checkpoint.fetch()
    if found := probe(plan).problems:
        # An ensemble has another way out than to average what is unrelated.
        raise InputError([problem.replace(", or pass --force.", ".") for problem in found])
    return ModelMember(family, plan.virtual(), called[0])
