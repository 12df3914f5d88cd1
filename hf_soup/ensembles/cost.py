"""What a member costs: memory, and time for every row."""

from __future__ import annotations

from dataclasses import dataclass

from hf_soup.ensembles.member import Member, ModelMember


@dataclass(frozen=True)
class MemberCost:
    """`forward_passes`: through a network, for each row. `seconds_per_row`: measured while it ran in batches on the fitting data,
    without loading it and without what the first run of a model prepares; None where it has not run on this machine. `parameters`,
    `bytes`: None for a function."""

    parameters: int | None
    forward_passes: int
    seconds_per_row: float | None
    bytes: int | None


def cost_of(member: Member, seconds_per_row: float | None) -> MemberCost:
    if isinstance(member, ModelMember):
        return MemberCost(member.parameters, 1, seconds_per_row, member.bytes)
    return MemberCost(None, 1, seconds_per_row, None)
