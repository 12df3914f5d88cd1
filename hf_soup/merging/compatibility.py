"""Do the models' configurations allow a merge? Every check returns sentences; none reads a weight."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hf_soup.checkpoints.quantised import quantised_how
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.merging.vocabulary import vocabulary_problems

# Fields that change what the same weights compute, although every tensor keeps its shape.
_ARITHMETIC_FIELDS = (
    "attention_bias",
    "activation_function",
    "conv_stride",
    "feed_forward_proj",
    "head_dim",
    "hidden_act",
    "image_size",
    "is_decoder",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "layer_types",
    "max_position_embeddings",
    "n_head",
    "norm_topk_prob",
    "num_attention_heads",
    "num_experts_per_tok",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_heads",
    "patch_size",
    "pooling_type",
    "position_embedding_type",
    "relative_attention_max_distance",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
)

Models = Sequence[StoredCheckpoint]
Check = Callable[[Models], list[str]]


def config_problems(models: Models) -> list[str]:
    """Every reason in the configurations why these models must not be merged."""
    return [problem for check in _CHECKS for problem in check(models)]


def _twice(models: Models) -> list[str]:
    seen: dict[str, StoredCheckpoint] = {}
    problems = []
    for model in models:
        first = seen.setdefault(model.fingerprint, model)
        if first is not model and _same_weights(first, model):
            problems.append(
                f"{model.label} holds the same weights as {first.label} (equal digests); name each ingredient once and "
                "give it a weight instead."
            )
    return problems


def _same_weights(one: StoredCheckpoint, other: StoredCheckpoint) -> bool:
    """Equal digests of the Hub are proof; the fingerprints of folders are samples, so those are compared in full."""
    import torch

    if one.ref is not None and one.ref.path is None:
        return True
    return all(torch.equal(one.read(name), other.read(name)) for name in one.names())


def _architectures(models: Models) -> list[str]:
    return _differences(models, "architecture", _architecture, "only models of one architecture can be merged")


def _architecture(config: dict[str, Any]) -> Any:
    named = config.get("architectures") or []
    if not named and "model_type" not in config:
        return None
    return " ".join([*named, f"({config.get('model_type', 'no model_type')})"])


def _arithmetic(models: Models) -> list[str]:
    advice = "the same weights would compute something else"
    problems = []
    for field in _ARITHMETIC_FIELDS:
        problems += _differences(models, f"config.json: {field}", _reader_of(field), advice)
    return problems


def _reader_of(field: str) -> Callable[[dict[str, Any]], Any]:
    return lambda config: config.get(field)


def _quantised(models: Models) -> list[str]:
    problems = []
    for model in models:
        if reason := quantised_how(model):
            problems.append(f"{model.label}: is quantised: {reason}; use the checkpoint in 16 or 32 bits.")
    return problems


def _labels(models: Models) -> list[str]:
    maps = {model.label: label_names(model.config) for model in models}
    named = {label: names for label, names in maps.items() if names and not _are_default(names)}
    if len({json.dumps(names) for names in named.values()}) <= 1:
        return []
    shown = "; ".join(f"{label}: {', '.join(names)}" for label, names in named.items())
    return [f"The models' label orders differ, so their head rows mean different classes: {shown}."]


def label_names(config: dict[str, Any]) -> list[str] | None:
    """Returns the names in `id2label` by id, or None."""
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        return None
    return [str(id2label[key]) for key in sorted(id2label, key=lambda key: (len(str(key)), str(key)))]


def _are_default(names: list[str]) -> bool:
    return names == [f"LABEL_{i}" for i in range(len(names))]


def _differences(models: Models, what: str, read: Callable[[dict[str, Any]], Any], advice: str) -> list[str]:
    groups: dict[str, list[str]] = {}
    for model in models:
        value = read(model.config)
        if value is not None:
            groups.setdefault(json.dumps(value, sort_keys=True), []).append(model.label)
    if len(groups) <= 1:
        return []
    shown = "; ".join(f"{_short(value)} in {', '.join(labels)}" for value, labels in groups.items())
    return [f"{what} differs: {shown}; {advice}."]


def _short(value: str) -> str:
    return value if len(value) <= 80 else f"{value[:77]}…"


_CHECKS: tuple[Check, ...] = (_twice, _architectures, _arithmetic, _quantised, _labels, vocabulary_problems)


def config_warnings(models: Models) -> list[str]:
    """What is unusual without being wrong."""
    warnings = []
    maps = [label_names(model.config) for model in models]
    if any(names and _are_default(names) for names in maps) and any(
        names and not _are_default(names) for names in maps
    ):
        warnings.append(
            "Some models have no label names (LABEL_0, LABEL_1, …): that their orders agree cannot be checked."
        )
    return warnings
