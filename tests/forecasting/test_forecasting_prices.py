"""What tokens cost: the member's word first, then the user's table, then litellm's; unknown stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_soup.errors import InputError
from hf_soup.forecasting.litellm_library import litellm
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.prices import Price, price_of, prices_in, read_prices
from hf_soup.forecasting.token_count import count_tokens


def test_order_of_sources() -> None:
    table = {"openai/gpt-4o": Price(1, 2), "named": Price(3, 4)}
    assert price_of(Member("m", "openai/gpt-4o", input_price=5, output_price=6), table) == Price(5, 6)
    assert price_of(Member("named", "openai/gpt-4o"), table) == Price(3, 4)
    assert price_of(Member("m", "openai/gpt-4o"), table) == Price(1, 2)
    listed = price_of(Member("m", "openai/gpt-4o"))
    assert listed is not None
    entry = litellm().model_cost["gpt-4o"]
    assert listed.input == pytest.approx(entry["input_cost_per_token"] * 1e6)
    assert listed.output == pytest.approx(entry["output_cost_per_token"] * 1e6)


def test_what_nobody_knows_is_none() -> None:
    assert price_of(Member("m", "openai/no-such-model")) is None
    assert price_of(Member("m", "openai/gpt-4o", api_base="http://127.0.0.1:9/v1")) is None


def test_long_prompts_cost_more_where_the_provider_says_so() -> None:
    price = Price(1, 10, long_from=200_000, long_input=2, long_output=15)
    assert price.of(200_000, 1_000) == pytest.approx(0.2 + 0.01)
    assert price.of(200_001, 1_000) == pytest.approx(0.400002 + 0.015)


def test_a_table_is_read_and_all_its_mistakes_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("openai/x: {input: 2.5, output: 10}\n")
    assert read_prices(file) == {"openai/x": Price(2.5, 10)}
    file.write_text(
        "a: {input: 1}\nb: {input: -1, output: 2}\nc: 5\nd: {input: 1, output: .nan}\ne: {input: 1, output: true}\n"
    )
    with pytest.raises(InputError) as caught:
        read_prices(file)
    assert len(caught.value.problems) == 5
    with pytest.raises(InputError, match="prices: 'b' is not of the form"):
        prices_in({"a": Price(1, 2), "b": {"input": "much"}}, "prices")
    with pytest.raises(InputError, match="no such file"):
        read_prices(tmp_path / "other.yaml")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("Will inflation in the euro area exceed 2.5% in December 2026?", 18),
        ("Превысит ли инфляция два процента?", 16),
        ("日本の首相は年内に辞任しますか？", 15),
    ],
)
def test_tokens_are_not_underestimated(text: str, tokens: int) -> None:
    """`tokens`: what cl100k_base makes of it."""
    assert count_tokens([{"role": "user", "content": text}]) >= tokens


def test_tokens_are_counted_quickly() -> None:
    assert count_tokens([{"role": "user", "content": "word " * 2_000_000}]) > 3_000_000
