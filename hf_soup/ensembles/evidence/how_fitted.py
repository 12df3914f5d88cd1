"""How a combination was fitted, so that the fit can be repeated on other rows, without a member, or by another method."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.fitting import Temperature, fit_combination
from hf_soup.ensembles.methods import method_named
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.tiers import Shape, Tier1


@dataclass(frozen=True)
class HowFitted:
    """The settings of a fit, as `fit_combination` takes them."""

    method: str
    tiers: Shape
    tier1: Tier1
    temperature: Temperature
    ridge: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, chosen: Combination, seed: int = 0, temperature: Temperature | None = None) -> HowFitted:
        """Reads from a combination how it was fitted. The seed does not stand in one, nor, where a method has no temperatures,
        which those of other methods were to be: `temperature` says so; None: read from the combination."""
        if temperature is None:
            temperature = "none"
            if any(value != 1.0 for value in chosen.temperatures.values()):
                temperature = "family" if set(chosen.temperatures) <= set(chosen.families) else "member"
        return cls(chosen.method, chosen.tiers, chosen.tier1, temperature, chosen.ridge, seed)

    @property
    def tempered(self) -> bool:
        """Whether what is fitted has temperatures; some methods never have any."""
        return self.temperature != "none" and method_named(self.method).tempered

    def __call__(self, data: MemberProbabilities) -> Combination:
        return fit_combination(
            data,
            self.method,
            tiers=self.tiers,
            tier1=self.tier1,
            temperature=self.temperature,
            ridge=self.ridge,
            seed=self.seed,
        )

    def with_method(self, method: str, tiers: Shape) -> HowFitted:
        return replace(self, method=method, tiers=tiers)
