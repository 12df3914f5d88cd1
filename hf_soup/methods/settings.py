"""Method parameters as they are typed: `density=0.5` for all models, `density[0]=0.3` for the first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from hf_soup.errors import InputError
from hf_soup.methods.method import METHODS

_SETTING = re.compile(r"(?P<name>\w+)(?:\[(?P<index>\d+)\])?=(?P<value>.*)", re.DOTALL)


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Returns what `MergeMethod.bind` takes. Raises InputError with every text that cannot be read.

    >>> parse_settings(["normalize=false", "weight=1", "weight[2]=0.5"])
    {'normalize': False, 'weight': {None: 1, 2: 0.5}}
    """
    settings: dict[str, Any] = {}
    by_index: dict[str, dict[int | None, Any]] = {}
    problems = []
    for text in texts:
        match = _SETTING.fullmatch(text.strip())
        if match is None:
            problems.append(f"--set {text}: write it as name=value, or name[0]=value for one model.")
            continue
        try:
            value = yaml.safe_load(match["value"])
        except yaml.YAMLError:
            problems.append(f"--set {text}: '{match['value']}' is no number, word or list.")
            continue
        if match["index"] is None:
            settings[match["name"]] = value
        else:
            by_index.setdefault(match["name"], {})[int(match["index"])] = value
    if problems:
        raise InputError(problems)
    for name, values in by_index.items():
        settings[name] = {None: settings[name], **values} if name in settings else values
    return settings


def refuse_options(settings: Mapping[str, Any]) -> None:
    """Raises InputError for what is an option of the command and no parameter of any method."""
    known = {name for method in METHODS.values() for name in method.schema.model_fields}
    if wrong := [name for name in settings if name not in known]:
        raise InputError(
            [f"--set {name}=…: no method has a parameter '{name}'; see `hf-soup methods`." for name in wrong]
        )
