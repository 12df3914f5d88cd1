"""The table of forecasts: what it computes, and what it refuses to be made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hf_soup.errors import InputError
from hf_soup.scoring.table import ForecastTable

NAN = float("nan")
VALUES = arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    elements=st.one_of(st.just(NAN), st.integers(0, 100).map(lambda n: n / 100)),
)


@settings(derandomize=True, max_examples=30)
@given(VALUES)
def test_a_members_mean_is_over_the_samples_it_gave(values):
    found = ForecastTable.of(values).member_means()

    for question, of_question in enumerate(values):
        for member, samples in enumerate(of_question):
            given_samples = [each for each in samples if each == each]
            if given_samples:
                assert found[question, member] == pytest.approx(sum(given_samples) / len(given_samples))
            else:
                assert np.isnan(found[question, member])


def test_pooled_holds_every_sample_of_a_question():
    table = ForecastTable.of(np.arange(12).reshape(2, 3, 2) / 12)

    np.testing.assert_array_equal(table.pooled(), np.arange(12).reshape(2, 6) / 12)


def test_resolved_leaves_out_open_and_annulled_questions_with_everything_that_belongs_to_them():
    table = ForecastTable(
        questions=("a", "b", "c", "d"),
        members=("m",),
        values=np.array([0.1, 0.2, 0.3, 0.4])[:, None, None],
        outcomes=np.array([1, NAN, NAN, 0]),
        groups=np.array([7, 7, 8, 9]),
        annulled=np.array([False, False, True, False]),
        crowd=np.array([0.5, NAN, NAN, 0.6]),
        topics=("x", None, None, "y"),
        crowd_times=np.array([1.0, 2.0, 3.0, 4.0]),
    )

    resolved = table.resolved()

    assert resolved.questions == ("a", "d")
    assert resolved.topics == ("x", "y")
    assert resolved.sources == (None, None)
    assert resolved.values[:, 0, 0].tolist() == [0.1, 0.4]
    assert resolved.groups.tolist() == [0, 1]
    assert resolved.crowd_times.tolist() == [1.0, 4.0]
    assert resolved.times is None
    assert table.n_open == 1


def test_missing_counts_the_questions_on_which_a_member_gave_no_sample():
    table = ForecastTable.of(np.array([[[0.1, NAN], [NAN, NAN]], [[NAN, NAN], [NAN, NAN]]]))

    assert table.missing.tolist() == [1, 2]


def test_no_question_left_is_a_table_too():
    assert ForecastTable.of([[0.5]], [NAN]).resolved().member_means().shape == (0, 1)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            lambda: ForecastTable.of([[0.5], [65.0]]),
            "values: 65.0 of question 'question 2' does not lie between 0 and 1",
        ),
        (lambda: ForecastTable.of([[65.0]]), "unit='percent'"),
        (lambda: ForecastTable.of([[0.5]], crowd=[-0.1]), "crowd: -0.1 of question 'question 1'"),
        (lambda: ForecastTable.of([[0.5]], [2]), "outcomes: 2.0 of question 'question 1' is neither 1 nor 0"),
        (lambda: ForecastTable.of([[0.5]], [1, 0]), "outcomes: has 2 values for 1 questions"),
        (lambda: ForecastTable.of([0.5, 0.6]), "values: has shape [2]"),
        (lambda: ForecastTable.of(np.zeros((2, 0))), "at least one member"),
        (lambda: ForecastTable.of([[0.5], [0.6]], questions=["a", "a"]), "question 'a' is there twice"),
        (lambda: ForecastTable.of([[0.5]], times=np.zeros((1, 2, 1))), "times: has shape [1, 2, 1]"),
        (lambda: ForecastTable.of([[0.5]]).subset(np.array([True, False])), "the mask has 2 values for 1 questions"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(made, said):
    with pytest.raises(InputError) as error:
        made()
    assert said in str(error.value)
