"""Which models stay in memory between predictions, and which are loaded one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hf_soup.ensembles.member_run import LoadedModel

Load = Callable[[str, LoadedModel | None], LoadedModel]
"""(name of the member, a model that is no longer needed) → the member's model."""


def kept_in_memory(sizes: Mapping[str, int], budget: int) -> frozenset[str]:
    """Returns the members that stay; the others take turns in the place that is left for the largest of them.

    `sizes`: bytes by name. Decided once and not by use: members are asked in turn, and whichever left last would be wanted next.

    >>> sorted(kept_in_memory({"a": 4, "b": 4, "c": 4}, 8)), sorted(kept_in_memory({"a": 4, "b": 4}, 8))
    (['a'], ['a', 'b'])
    """
    if sum(sizes.values()) <= budget:
        return frozenset(sizes)
    left = budget - max(sizes.values())
    kept = set()
    for name, size in sizes.items():
        if size <= left:
            left -= size
            kept.add(name)
    return frozenset(kept)


class ModelsInMemory:
    """Gives models that are ready to run, within a budget of bytes; a single one that is larger is loaded nevertheless."""

    def __init__(self, sizes: Mapping[str, int], budget: int, load: Load) -> None:
        self._kept = kept_in_memory(sizes, budget)
        self._load = load
        self._there: dict[str, LoadedModel] = {}
        self._guest: tuple[str, LoadedModel] | None = None

    def get(self, name: str) -> LoadedModel:
        """The model is valid until the next one is asked for."""
        if name in self._kept:
            if name not in self._there:
                self._there[name] = self._load(name, None)
            return self._there[name]
        if self._guest is None or self._guest[0] != name:
            before = self._guest[1] if self._guest is not None else None
            self._guest = None  # a load that fails leaves nothing behind that is half another model
            self._guest = (name, self._load(name, before))
        return self._guest[1]

    def clear(self) -> None:
        self._there.clear()
        self._guest = None
