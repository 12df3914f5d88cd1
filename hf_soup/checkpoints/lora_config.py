"""adapter_config.json of PEFT: what scales an update, which base it is for, and whether we can apply it exactly.

Rules: PEFT 0.21 (`peft/tuners/lora/config.py`, `peft/utils/other.py: get_pattern_key`).
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.errors import InputError

ADAPTER_CONFIG = "adapter_config.json"

# The factors of these are relative to a base that was changed when training began; the published base is another one.
_BASE_CHANGED_BY = {
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "corda": "CorDA",
    "loftq": "LoftQ",
    "lora_ga": "LoRA-GA",
    "mica": "MiCA",
}
# PEFT's types that leave the weights as they are and add something to the input or the attention's keys and values.
_NOT_OF_WEIGHTS = (
    "ADAPTION_PROMPT",
    "CARTRIDGE",
    "CPT",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "PROMPT_TUNING",
)
_NOT_AN_UPDATE = {
    "alora_invocation_tokens": "is an activated LoRA, which acts after certain tokens only",
    "arrow_config": "routes between adapters (Arrow)",
    "kasa_config": "is a KaSA adapter",
    "layer_replication": "repeats layers of its base (layer_replication)",
    "megatron_config": "was trained on Megatron's parallel layers",
    "monteclora_config": "is a MonteCLoRA adapter",
    "use_bdlora": "is a BD-LoRA adapter",
    "use_qalora": "is a QALoRA adapter",
    "velora_config": "is a VeLoRA adapter",
}
MERGE_FIRST = "merge it into its base with PEFT (merge_and_unload), then name the merged model"


@dataclass(frozen=True)
class LoraConfig:
    """What of adapter_config.json decides about weights. `label`: of the adapter, for messages.

    `base_name`, `base_revision`: as the file names the base; None where it does not. `raw`: the whole file.
    """

    label: str
    rank: int
    alpha: float
    rslora: bool = False
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    fan_in_fan_out: bool = False
    modules_to_save: tuple[str, ...] = ()
    target_parameters: tuple[str, ...] = ()
    """Ends of the names of parameters, of stacked experts mostly, that are adapted without being a module's weight."""
    trainable_tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Which rows of which embeddings are trained, by the end of the module's name; "" for those that PEFT finds itself."""
    task_type: str | None = None
    base_name: str | None = None
    base_revision: str | None = None
    base_class: str | None = None
    """The transformers class that was adapted, where the file says so (auto_mapping)."""
    raw: Mapping[str, Any] = field(default_factory=dict)

    def rank_of(self, module: str) -> int:
        """The rank that the update of a module, or of a parameter of `target_parameters`, has by `r` and `rank_pattern`."""
        return int(_of_pattern(self.rank_pattern, module, self.rank))

    def rows_of(self, module: str) -> tuple[int, ...] | None:
        """The trained rows of embeddings, those of the only ones named for others that are tied to them; None if not known."""
        named = next((rows for name, rows in self.trainable_tokens.items() if module.endswith(name)), None)
        return named or (next(iter(self.trainable_tokens.values())) if len(self.trainable_tokens) == 1 else None)

    def scale_of(self, module: str) -> float:
        """Returns s in W + s·B·A for a module or a parameter: alpha / r, with rsLoRA alpha / √r.

        >>> LoraConfig("a", rank=4, alpha=8, rank_pattern={"q_proj": 16}).scale_of("layers.0.q_proj")
        0.5
        """
        rank = self.rank_of(module)
        return float(_of_pattern(self.alpha_pattern, module, self.alpha)) / (math.sqrt(rank) if self.rslora else rank)


def read_lora_config(folder: ModelFolder) -> LoraConfig:
    """Reads and checks adapter_config.json. Raises InputError that names everything that cannot be applied exactly."""
    where = f"{ADAPTER_CONFIG} of {folder.ref.label}"
    try:
        raw = json.loads(folder.local_path(ADAPTER_CONFIG).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON ({error}).") from error
    if not isinstance(raw, dict):
        raise InputError(f"{where}: is not a JSON object.")
    problems = _refusals(raw, folder.ref.label)
    if problems:
        raise InputError(problems)
    rank: Any = raw.get("r")
    alpha: Any = raw.get("lora_alpha")
    patterns = {name: raw.get(name) or {} for name in ("rank_pattern", "alpha_pattern")}
    if not _is_number(rank) or rank <= 0 or not _is_number(alpha):
        shown = f"r is {reprlib.repr(rank)} and lora_alpha {reprlib.repr(alpha)}"
        problems.append(f"{where}: {shown}; both must be numbers, r above 0.")
    for name, pattern in patterns.items():
        if not isinstance(pattern, dict) or not all(_is_number(value) for value in pattern.values()):
            problems.append(f"{where}: {name} does not map module names to numbers.")
        elif broken := [key for key in pattern if not _compiles(key)]:
            problems.append(f"{where}: {name} has '{broken[0]}', which is no regular expression.")
    if not problems and not all(value > 0 for value in patterns["rank_pattern"].values()):
        problems.append(f"{where}: rank_pattern has a rank that is not above 0.")
    tokens = _trainable_tokens(raw.get("trainable_token_indices"))
    if tokens is None:
        problems.append(f"{where}: trainable_token_indices gives no lists of different numbers from 0.")
    lists = {name: raw.get(name) or [] for name in ("modules_to_save", "target_parameters")}
    for name, listed in lists.items():
        if not isinstance(listed, list) or not all(_text(each) for each in listed):
            problems.append(f"{where}: {name} is no list of names.")
    if problems or tokens is None:
        raise InputError(problems)
    mapping = raw.get("auto_mapping") or {}
    return LoraConfig(
        label=folder.ref.label,
        rank=rank,
        alpha=alpha,
        rslora=bool(raw.get("use_rslora")),
        rank_pattern=patterns["rank_pattern"],
        alpha_pattern=patterns["alpha_pattern"],
        fan_in_fan_out=bool(raw.get("fan_in_fan_out")),
        modules_to_save=tuple(lists["modules_to_save"]),
        target_parameters=tuple(lists["target_parameters"]),
        trainable_tokens=tokens,
        task_type=_text(raw.get("task_type")),
        base_name=_text(raw.get("base_model_name_or_path")),
        base_revision=_text(raw.get("revision")),
        base_class=_text(mapping.get("base_model_class")) if isinstance(mapping, dict) else None,
        raw=raw,
    )


def _refusals(raw: dict[str, Any], label: str) -> list[str]:
    kind = raw.get("peft_type")
    if kind is None:
        return [
            f"{ADAPTER_CONFIG} of {label}: names no peft_type, so it is not PEFT's; ask for the adapter as PEFT saves it."
        ]
    if kind in _NOT_OF_WEIGHTS:
        return [
            f"{label}: is an adapter of PEFT type {kind}, which adds to the input and changes no weights, so there is nothing to merge; "
            "leave it out."
        ]
    if kind != "LORA":
        return [f"{label}: is an adapter of PEFT type {kind}, not a LoRA; {MERGE_FIRST}."]
    problems = []
    init = str(raw.get("init_lora_weights")).lower()
    name = next((name for prefix, name in _BASE_CHANGED_BY.items() if init.startswith(prefix)), None)
    if name:
        problems.append(
            f"{label}: was initialised by {name} (init_lora_weights='{raw['init_lora_weights']}'), which changes the base, so its "
            "factors do not fit the published one; convert it with PEFT (path_initial_model_for_weight_conversion)."
        )
    return problems + [f"{label}: {what}; {MERGE_FIRST}." for key, what in _NOT_AN_UPDATE.items() if raw.get(key)]


def _of_pattern(pattern: Mapping[str, float], module: str, default: float) -> float:
    """The first key that matches the end of a module's name counts."""
    return next((value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _trainable_tokens(raw: Any) -> dict[str, tuple[int, ...]] | None:
    """Returns None for what PEFT does not write: it takes a list, or lists by the names of modules."""
    by_module = raw if isinstance(raw, dict) else {"": raw} if raw else {}
    for rows in by_module.values():
        if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
            return None
        if not rows or len(set(rows)) != len(rows):
            return None
    return {str(name): tuple(rows) for name, rows in by_module.items()}


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
