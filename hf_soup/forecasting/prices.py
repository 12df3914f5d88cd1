"""What tokens cost: from the member, from the user's table, or from the table that comes with litellm."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from hf_soup.errors import InputError
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member

_MILLION = 1_000_000
_LONG = re.compile(r"(?:input|output)_cost_per_token_above_(\d+)k_tokens")
_REASONING = re.compile(r"output_cost_per_reasoning_token")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens. Some models charge more for a request with a prompt above `long_from` tokens."""

    input: float
    output: float
    long_from: int | None = None
    long_input: float = 0.0
    long_output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Returns dollars.

        >>> Price(input=2.5, output=10).of(1_000, 200)
        0.0045
        """
        if self.long_from is not None and input_tokens > self.long_from:
            return (input_tokens * self.long_input + output_tokens * self.long_output) / _MILLION
        return (input_tokens * self.input + output_tokens * self.output) / _MILLION


def price_of(member: Member, table: Mapping[str, Price] | None = None) -> Price | None:
    """Returns the price of a member's tokens, None where nobody knows it.

    litellm's table is not asked for a server of the user's own (`api_base`), whose prices are not those of the provider.
    """
    if member.input_price is not None and member.output_price is not None:
        return Price(member.input_price, member.output_price)
    for name in (member.name, member.model):
        if table and name in table:
            return table[name]
    return None if member.api_base else _listed(member.model)


def read_prices(path: str | Path) -> dict[str, Price]:
    """Reads a YAML file `model: {input: 2.5, output: 10}`. Raises InputError with every entry that is not understood."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a YAML file ({error}).") from error
    return prices_in(content, str(path))


def prices_in(content: Any, where: str) -> dict[str, Price]:
    """Returns the prices of a table `{model: {"input": 2.5, "output": 10}}`, or `{model: Price(2.5, 10)}`. `where`: its name in errors."""
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: is not a table `model: {{input: 2.5, output: 10}}`.")
    prices, problems = {}, []
    for model, entry in content.items():
        if isinstance(entry, Price):
            prices[str(model)] = entry
        elif isinstance(entry, Mapping) and set(entry) == {"input", "output"} and all(map(_is_price, entry.values())):
            prices[str(model)] = Price(float(entry["input"]), float(entry["output"]))
        else:
            problems.append(
                f"{where}: '{model}' is not of the form {{input: 2.5, output: 10}}, dollars per million tokens, at least 0."
            )
    if problems:
        raise InputError(problems)
    return prices


def _listed(model: str) -> Price | None:
    listed = litellm().model_cost
    entry = listed.get(model) or listed.get(model.partition("/")[2]) or {}
    return _price_in(entry)


def _price_in(entry: Mapping[str, Any]) -> Price | None:
    """Of several steps the first and dearest counts: a cap relies on it. Reasoning is charged as output, or dearer."""
    listed = [entry.get(f"{side}_cost_per_token") for side in ("input", "output")]
    usual = [float(price) for price in listed if _is_price(price)]
    if len(usual) < 2:
        return None
    steps = [int(found[1]) * 1_000 for name in entry if (found := _LONG.fullmatch(name))]
    long = [_dearest(entry, side, price, _LONG) for side, price in zip(("input", "output"), usual, strict=True)]
    reasoning = _dearest(entry, "output", usual[1], _REASONING)
    return Price(
        usual[0] * _MILLION,
        reasoning * _MILLION,
        min(steps) if steps else None,
        long[0] * _MILLION,
        max(long[1], reasoning) * _MILLION,
    )


def _dearest(entry: Mapping[str, Any], side: str, usual: float, names: re.Pattern[str]) -> float:
    prices = [value for name, value in entry.items() if name.startswith(side) and names.fullmatch(name)]
    return max([float(usual), *(float(price) for price in prices if _is_price(price))])


def _is_price(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
