"""The logit ensemble: what all models together say, from predictions that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hf_soup.errors import InputError
from hf_soup.evaluation.predictions import Kind, Predictions, refuse_different_rows


def logit_ensemble(predictions: Sequence[Predictions]) -> Predictions:
    """Returns the mean of the models' logits (summed in float64, float32 [rows, classes]).

    Raises InputError for predictions on different rows or classes, and for language models: of those only the likelihood
    of each text is kept, not the logits of every token.
    Source: Model soups, arXiv 2203.05482, Table 2.
    """
    if not predictions:
        raise InputError("A logit ensemble needs the predictions of at least one model.")
    if predictions[0].kind is Kind.LANGUAGE:
        raise InputError(
            "There is no logit ensemble of language models here: their predictions hold one likelihood a row, not the logits of "
            "every token."
        )
    refuse_different_rows(predictions)
    total = np.zeros(predictions[0].logits.shape, np.float64)
    for each in predictions:
        total += each.logits
    return replace(predictions[0], logits=(total / len(predictions)).astype(np.float32))
