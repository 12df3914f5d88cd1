"""A method's signature is its schema."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated

import pytest
import torch
from granules_in_memory import GranulesInMemory, merged
from pydantic import Field

import hf_soup.methods.settings
from hf_soup.errors import InputError
from hf_soup.methods import GRANULE, METHODS, Finite, Granules, PerModel, Place, merge_method, method_named
from hf_soup.methods.settings import parse_settings


@pytest.fixture
def example() -> Iterator[str]:
    def largest(granules: Granules, density: list[float]) -> list[float]:
        """Some number of the whole tensor for each model."""
        sizes = [0.0] * granules.n_models
        for index in range(len(granules)):
            _, models = granules[index]
            sizes = [max(size, float(x.abs().max()) * d) for size, x, d in zip(sizes, models, density, strict=True)]
        return sizes

    @merge_method(commutative=False, survey=largest, at_least=2)
    def example(
        base: torch.Tensor,
        models: Sequence[torch.Tensor],
        survey: list[float],
        place: Place,
        *,
        density: PerModel[Annotated[float, Field(ge=0, le=1)]] = 0.5,
        scale: Finite = 1.0,
    ) -> torch.Tensor:
        """Returns the base and what else it was given.

        Source: nowhere.
        """
        return base + sum(survey) * scale + place.start

    yield "example"
    del METHODS["example"]


def test_everything_is_read_from_the_signature(example):
    method = method_named(example)
    assert method.needs_base
    assert method.per_model == {"density"}
    assert method.defaults == {"density": 0.5, "scale": 1.0}
    assert method.summary == "Returns the base and what else it was given."
    assert method.source == "nowhere."
    assert method.needs_place
    assert method.elementwise
    assert not method.commutative
    linear = method_named("linear")
    assert not linear.needs_base
    assert not linear.needs_place
    assert linear.survey is None


def test_a_survey_gets_the_parameters_that_it_names_and_the_method_what_it_asks_for(example):
    method = method_named(example)
    models = [torch.tensor([1.0, -4.0]), torch.tensor([2.0, 1.0])]
    parameters = method.bind(2, {"density": [1.0, 0.5], "scale": 10})
    survey = method.look(GranulesInMemory(torch.zeros(2), models), parameters)
    assert survey == [4.0, 1.0]
    place = Place("layer.weight", GRANULE, ["a", "b"])
    result = method(models, torch.tensor([0.5, 0.0]), survey, place, parameters)
    assert result.tolist() == [50.5 + GRANULE, 50.0 + GRANULE]
    assert method_named("linear").look(GranulesInMemory(None, models), {}) is None


def test_the_number_of_models_is_checked(example):
    with pytest.raises(InputError, match="method example: takes 2 models or more, there is 1"):
        method_named(example).bind(1, {})
    with pytest.raises(InputError, match="method slerp: takes exactly 2 models, there are 3"):
        method_named("slerp").bind(3, {})


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_names_its_paper_and_has_a_line_of_help(name):
    method = method_named(name)
    assert method.summary.endswith(".")
    assert "arXiv" in method.source or "SIGGRAPH" in method.source
    assert set(method.bind(2, {})) == set(method.defaults)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_that_says_so_returns_what_all_inputs_are_where_they_are_equal(name):
    """Such tensors are copied, so what it says must be true with any parameters."""
    method = method_named(name)
    x = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    count = method.exactly or 3
    choices: dict[str, list] = {"normalize": [True, False], "density": [0.3], "scale": [0.7], "t": [0.3]}
    choices |= {"weight": [[0.2, 0.5, 0.9][:count], [0.2, -0.5, 1.9][:count]]}
    known = [key for key in choices if key in method.defaults]
    claims = []
    for values in itertools.product(*(choices[key] for key in known)):
        given = dict(zip(known, values, strict=True))
        result = merged(method, x if method.needs_base else None, [x] * count, **given)
        claims.append(method.returns_equals(method.bind(count, given)))
        assert torch.allclose(result, x, rtol=1e-5) == claims[-1], given
    assert any(claims)


def test_without_saying_so_a_method_is_always_asked(example):
    assert not method_named(example).returns_equals({})


def test_one_value_stands_for_all_models_and_some_can_be_named(example):
    bind = method_named(example).bind
    assert bind(3, {}) == {"density": [0.5, 0.5, 0.5], "scale": 1.0}
    assert bind(3, {"density": 0.2})["density"] == [0.2, 0.2, 0.2]
    assert bind(3, parse_settings(["density[1]=0.9"]))["density"] == [0.5, 0.9, 0.5]
    assert bind(3, parse_settings(["density=0.1", "density[2]=0.9"]))["density"] == [0.1, 0.1, 0.9]


def test_all_wrong_parameters_are_listed_together(example):
    with pytest.raises(InputError) as error:
        method_named(example).bind(2, {"density": [0.5, 1.5], "scale": float("nan"), "sparsity": 1})
    text = str(error.value)
    assert len(error.value.problems) == 3
    assert "density[1] = 1.5: input should be less than or equal to 1" in text
    assert "scale = nan" in text
    assert "has no parameter 'sparsity'; it has: density, scale" in text


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("density[7]=0.5", "density\\[7\\]: there are models 0 to 1"),
        ("scale[0]=2", "scale is one value for all models"),
    ],
)
def test_an_index_that_means_nothing_is_an_error(example, setting, sentence):
    with pytest.raises(InputError, match=sentence):
        method_named(example).bind(2, parse_settings([setting]))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ([float("nan"), 1], "weight\\[0\\] = nan: input should be a finite number"),
        ([0, 0], "all weights are zero"),
        ([1, -1], "sum to zero and cannot be normalised"),
        ([1, 2, 3], "weight has 3 values for 2 models"),
        (["heavy", 1], "weight\\[0\\] = 'heavy'"),
    ],
)
def test_mixing_weights_that_mean_nothing_are_refused(weight, sentence):
    with pytest.raises(InputError, match=sentence):
        method_named("linear").bind(2, {"weight": weight})


def test_negative_and_unnormalised_weights_are_allowed():
    bound = method_named("linear").bind(2, {"weight": [2, -1]})
    assert torch.equal(METHODS["linear"].combine([torch.ones(3), torch.ones(3)], **bound), torch.ones(3))
    bound = method_named("linear").bind(2, {"weight": [2, -2], "normalize": False})
    assert torch.equal(METHODS["linear"].combine([torch.ones(3), torch.zeros(3)], **bound), torch.full((3,), 2.0))


def test_a_setting_that_cannot_be_read_is_named():
    with pytest.raises(InputError, match=r"--set density: write it as name=value"):
        parse_settings(["density", "scale=1"])


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(hf_soup.methods.settings).failed == 0
