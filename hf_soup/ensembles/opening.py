"""From what the user named to members: pinned, their headers read, nothing of their weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hf_soup.checkpoints import AdapterBases, ModelRef, PinnedRef, open_checkpoint, resolve
from hf_soup.ensembles.families import infer_families
from hf_soup.ensembles.member import FunctionMember, Member, ModelMember
from hf_soup.errors import InputError, SoupError
from hf_soup.ranks import gather

OnMissing = Literal["error", "reweigh"]
Given = Any
"""A reference, a function, or a `FunctionMember`."""
_OPEN_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Voters:
    """Members by family. `missing`: those that could not be had, by name, with the reason; they are in no family."""

    families: Mapping[str, tuple[Member, ...]]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(member for family in self.families.values() for member in family)

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names of each family's members."""
        return {family: tuple(member.name for member in members) for family, members in self.families.items()}


@dataclass(frozen=True, eq=False)
class _Seat:
    """One place at the table. `name`: given by the user; "" where the member's own is taken."""

    family: str
    given: Given
    name: str = ""
    pinned: PinnedRef | None = None
    member: Member | None = None
    failure: str = ""

    @property
    def own_name(self) -> str:
        if isinstance(self.given, FunctionMember):
            return self.given.name
        if self.pinned is not None:
            return self.pinned.name
        ref = ModelRef.parse(self.given)
        return PinnedRef(ref.text, ref.repo_id, subfolder=ref.subfolder, path=ref.path).name


def open_voters(
    families: Mapping[str, Any] | Sequence[Given],
    *,
    on_missing: OnMissing = "error",
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> Voters:
    """Pins and opens every member. A family is a list of members, or a mapping of members by names for them.

    A list instead of a mapping of families: they are inferred, see `infer_families`. A pattern such as `me/run:checkpoint-*` is
    one member per match. `on_missing="reweigh"`: a member that cannot be opened is left out; otherwise, and where none is left,
    raises InputError with the problems of all members, HubError when the Hub fails.
    """
    seats = _seats(families)
    bases = AdapterBases(token=token, cache_dir=cache_dir)

    def pin(seat: _Seat) -> list[_Seat]:
        if isinstance(seat.given, FunctionMember):
            return [replace(seat, member=seat.given)]
        if isinstance(seat.given, PinnedRef):
            return [replace(seat, pinned=seat.given)]
        refs = resolve(seat.given, token=token, revision=revision, cache_dir=cache_dir)
        if seat.name and len(refs) > 1:
            raise InputError(f"'{seat.name}': {seat.given} names {len(refs)} models; a member with a name is one.")
        return [replace(seat, pinned=ref) for ref in refs]

    def open_one(seat: _Seat) -> list[_Seat]:
        if seat.pinned is None:
            return [seat]
        checkpoint = open_checkpoint(seat.pinned, token=token, cache_dir=cache_dir, bases=bases)
        return [replace(seat, member=ModelMember(seat.own_name, checkpoint))]

    with ThreadPoolExecutor(_OPEN_AT_ONCE) as pool:
        for step in (pin, open_one):
            seats = [found for each in pool.map(_surviving(step), seats) for found in each]
    seats = _agreed(seats)
    failures = [seat for seat in seats if seat.member is None]
    if failures and (on_missing == "error" or len(failures) == len(seats)):
        raise InputError(list(dict.fromkeys(line for seat in failures for line in seat.failure.split("\n"))))
    names = _names(seats)
    missing = {name: seat.failure for name, seat in zip(names, seats, strict=True) if seat.member is None}
    found: dict[str, list[Member]] = {}
    for name, seat in zip(names, seats, strict=True):
        if seat.member is not None:
            found.setdefault(seat.family, []).append(replace(seat.member, name=name))
    if not isinstance(families, Mapping):
        return Voters(infer_families([member for members in found.values() for member in members]), missing)
    return Voters({family: tuple(members) for family, members in found.items()}, missing)


def _seats(families: Mapping[str, Any] | Sequence[Given]) -> list[_Seat]:
    if isinstance(families, str | Path) or not families:
        raise InputError(
            "An ensemble needs members: {'family': ['user/name', …], …}, or a list whose families are inferred."
        )
    grouped: Mapping[str, Any] = families if isinstance(families, Mapping) else {"": families}
    seats, problems = [], []
    for family, given in grouped.items():
        if isinstance(given, str | Path | ModelRef | PinnedRef | FunctionMember) or callable(given):
            given = [given]
        if not given:
            problems.append(f"The family '{family}' has no members; leave it out or name some.")
        named = given.items() if isinstance(given, Mapping) else (("", each) for each in given)
        for name, each in named:
            known = isinstance(each, str | Path | ModelRef | PinnedRef | FunctionMember)
            if not known and not callable(each):
                problems.append(
                    f"The family '{family}': a {type(each).__name__} is no member; give a Hub ID, a folder, or a function of rows."
                )
                continue
            seats.append(_Seat(str(family), each if known else FunctionMember(each), str(name)))
    if problems:
        raise InputError(problems)
    return seats


def _surviving(step: Callable[[_Seat], list[_Seat]]) -> Callable[[_Seat], list[_Seat]]:
    """A failure becomes part of the seat, so that all of them are known before anything is said."""

    def take(seat: _Seat) -> list[_Seat]:
        if seat.failure:
            return [seat]
        try:
            return step(seat)
        except SoupError as error:
            return [replace(seat, failure=str(error))]

    return take


def _agreed(seats: list[_Seat]) -> list[_Seat]:
    """What fails in one of several processes fails in all, since all must ask the same members."""
    of_all = gather([seat.failure for seat in seats])
    if len({len(failures) for failures in of_all}) > 1:
        raise SoupError("The processes of this run found different members on the Hub; run the command again.")
    agreed = []
    for seat, failures in zip(seats, zip(*of_all, strict=True), strict=True):
        failure = next((each for each in failures if each), "")
        agreed.append(replace(seat, member=None, failure=failure) if failure else seat)
    return agreed


def _names(seats: Sequence[_Seat]) -> list[str]:
    """One name each: of two revisions of one repository with the commit, of other namesakes with a number."""
    plain = [seat.name or seat.own_name for seat in seats]
    counts = Counter(plain)
    qualified = [
        f"{name}@{_commit(seat)}" if counts[name] > 1 and _commit(seat) else name
        for name, seat in zip(plain, seats, strict=True)
    ]
    seen: Counter[str] = Counter()
    names = []
    for name in qualified:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def _commit(seat: _Seat) -> str:
    return str(seat.pinned.revision)[:7] if seat.pinned is not None and seat.pinned.revision else ""


def on_missing_policy(on_missing: OnMissing) -> OnMissing:
    """Returns it. Raises InputError for another word."""
    if on_missing not in ("error", "reweigh"):
        raise InputError(f"on_missing='{on_missing}': it is 'error' or 'reweigh'.")
    return on_missing


def same_models(voters: Voters) -> list[str]:
    """A warning for each model that is a member more than once."""
    places = [
        (family, member)
        for family, members in voters.families.items()
        for member in members
        if isinstance(member, ModelMember)
    ]
    counts = Counter(member.checkpoint.identity for _, member in places)
    return [
        "The same model votes more than once: "
        + ", ".join(
            f"{member.name} (family {family})" for family, member in places if member.checkpoint.identity == same
        )
        + ". It counts as often; name it once if that is not meant."
        for same, count in counts.items()
        if count > 1
    ]
