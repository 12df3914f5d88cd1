"""Which licence a merge may carry."""

from __future__ import annotations

import pytest

from hf_soup.errors import InputError
from hf_soup.localhub.vocabulary import LICENSES
from hf_soup.publishing import LICENCE_IDS, IngredientCard, Licence, derive_licence, licence_warning

LLAMA = Licence("other", "llama-next", "https://example.org/licence")


def cards(*licences: Licence | str | None) -> list[IngredientCard]:
    found = [Licence(one) if isinstance(one, str) else one for one in licences]
    return [IngredientCard(f"me/run-{index}", one) for index, one in enumerate(found)]


def test_the_identifiers_are_those_that_the_hub_accepts():
    assert set(LICENSES) == LICENCE_IDS


def test_a_licence_that_all_share_is_inherited():
    assert derive_licence(cards("mit", "mit", "mit")) == Licence("mit")


def test_licences_that_differ_are_listed_with_their_models():
    with pytest.raises(InputError) as caught:
        derive_licence(cards("mit", "apache-2.0", None))
    assert caught.value.problems[1:] == ("me/run-0: mit", "me/run-1: apache-2.0", "me/run-2: states none")


def test_a_given_licence_settles_it():
    assert derive_licence(cards("mit", "apache-2.0"), "apache-2.0") == Licence("apache-2.0")


@pytest.mark.parametrize(
    ("given", "hint"), [("Apache-2.0", "apache-2.0"), ("apache2", "apache-2.0"), ("gpl-3", "gpl-3.0")]
)
def test_an_unknown_identifier_is_refused_with_a_proposal(given, hint):
    with pytest.raises(InputError, match=rf"not one of the Hub's identifiers.*Did you mean {hint}"):
        derive_licence(cards("mit"), given)


def test_an_identifier_in_a_card_that_the_hub_does_not_know_asks_for_the_right_one():
    with pytest.raises(InputError, match="me/run-0: its card names the licence 'my own'"):
        derive_licence(cards("my own", "my own"))


def test_other_carries_name_and_link():
    assert derive_licence(cards(LLAMA, LLAMA)) == LLAMA
    assert LLAMA.front_matter() == {
        "license": "other",
        "license_name": "llama-next",
        "license_link": "https://example.org/licence",
    }


def test_two_different_others_differ():
    with pytest.raises(InputError, match="differ"):
        derive_licence(cards(LLAMA, Licence("other", "another")))


def test_a_given_other_takes_its_name_from_the_ingredients_or_asks_for_it():
    assert derive_licence(cards(LLAMA, "mit"), "other") == LLAMA
    with pytest.raises(InputError, match="needs a name and a link"):
        derive_licence(cards("mit", "apache-2.0"), "other")


def test_none_is_no_licence_and_a_warning():
    assert derive_licence(cards(None, None)) is None
    assert "states a licence" in str(licence_warning(cards(None, None), None))


def test_some_that_state_none_are_named_in_a_warning():
    found = cards("mit", None)
    assert derive_licence(found) == Licence("mit")
    assert "me/run-1" in str(licence_warning(found, Licence("mit")))
    assert licence_warning(cards("mit", "mit"), Licence("mit")) is None
