"""A comparison as a document of JSON: its numbers, who is better where that is decided, and the sentence that says so."""

from __future__ import annotations

from typing import Any

from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.comparison_sentence import comparison_sentence
from hf_soup.scoring.documents import document


def comparison_document(compared: Comparison) -> dict[str, Any]:
    """Returns every field of the comparison, `better` (None: not decided) and `sentence`."""
    return {**document(compared), "better": compared.better, "sentence": comparison_sentence(compared)}
