"""Tokenizers as they lie beside the weights, and how many tokens a model takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_soup.errors import InputError
from hf_soup.evaluation.quiet import quiet_transformers
from hf_soup.progress import say

_NO_LIMIT = 1_000_000  # transformers writes 1e30 where a tokenizer does not say


def open_tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise InputError(f"{folder}: has no tokenizer that transformers can open ({first_line(error)}).") from error
    # Without a vocabulary file transformers builds a tokenizer to which every word is unknown, and says nothing.
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise InputError(
            f"{folder}: has no vocabulary, the tokenizer's files are missing; every text would look the same."
        )
    return tokenizer


def longest_input(tokenizer: Any, config: Any, max_length: int | None) -> int | None:
    """Returns how many tokens a text is cut to: the user's word, else the tokenizer's limit, else the model's."""
    if max_length is not None:
        return max_length
    if tokenizer.model_max_length < _NO_LIMIT:
        return int(tokenizer.model_max_length)
    positions = getattr(config, "max_position_embeddings", None)
    # RoBERTa and its relatives begin to count positions behind the padding index: two fewer tokens fit.
    return int(positions) - 2 if positions else None


def report_cut(lengths: list[int], limit: int | None) -> None:
    """Says how many rows were longer than the limit. `lengths`: in tokens, before cutting."""
    cut = sum(length > limit for length in lengths) if limit is not None else 0
    if cut:
        say(f"{cut} of {len(lengths)} texts are longer than {limit} tokens and were cut.")


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
