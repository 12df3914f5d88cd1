"""Model and dataset cards: their YAML front matter, and what the Hub refuses or warns of in it.

`model-index`, `license`, `language`, `base_model` and `base_model_relation` are checked; free fields are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hf_soup.localhub.vocabulary import LICENSES, RELATIONS, TASKS

_REPO_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_SPECIAL_LANGUAGES = ("code", "multilingual")


@dataclass
class Findings:
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def front_matter(text: str) -> str | None:
    """The YAML between the first two lines of three dashes; None where there is none."""
    match = re.match(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|$)", text, re.S)
    return match[1] if match else None


def metadata(text: str) -> dict[str, Any]:
    """The front matter, parsed; empty where it is missing or broken."""
    source = front_matter(text)
    try:
        data = yaml.safe_load(source) if source else None
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def check_card(text: str, repo_type: str) -> Findings:
    """What the Hub would say to this README.md."""
    found = Findings()
    source = front_matter(text)
    if source is None:
        found.warnings.append("empty or missing yaml metadata in repo card")
        return found
    try:
        data = yaml.safe_load(source)
    except yaml.YAMLError as error:
        found.errors.append(f"Invalid YAML: {str(error).splitlines()[0]}")
        return found
    if data is None:
        found.warnings.append("empty or missing yaml metadata in repo card")
    elif not isinstance(data, dict):
        found.errors.append("The metadata must be a mapping of names to values")
    else:
        for name, rule in {**_SHARED_RULES, **(_MODEL_RULES if repo_type == "model" else {})}.items():
            if data.get(name) is not None:
                rule(name, data[name], found)
    return found


def _license(name: str, value: Any, found: Findings) -> None:
    for item in _as_list(value):
        if item not in LICENSES:
            found.errors.append(f'"{name}" must be one of [{", ".join(LICENSES)}]')
            return


def _language(name: str, value: Any, found: Findings) -> None:
    for label, item in _labelled(name, value):
        if not isinstance(item, str):
            found.errors.append(f'"{label}" must be a string')
        elif item != item.lower():
            found.errors.append(f'"{label}" must only contain lowercase characters')
        elif not re.fullmatch(r"[a-z]{2,3}", item) and item not in _SPECIAL_LANGUAGES:
            found.errors.append(
                f'"{label}" with value "{item}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code (two/three'
                ' letters), or a special value like "code", "multilingual". If you want to use BCP-47 identifiers, you'
                " can specify them in language_bcp47."
            )


def _strings(name: str, value: Any, found: Findings) -> None:
    if not isinstance(value, list):
        found.errors.append(f'"{name}" must be an array')
        return
    found.errors += [f'"{label}" must be a string' for label, item in _labelled(name, value) if type(item) is not str]


def _string(name: str, value: Any, found: Findings) -> None:
    if not isinstance(value, str):
        found.errors.append(f'"{name}" must be a string')


def _base_model(name: str, value: Any, found: Findings) -> None:
    for label, item in _labelled(name, value):
        if not isinstance(item, str):
            found.errors.append(f'"{label}" must be a string')
        elif not _REPO_ID.fullmatch(item):
            found.errors.append(
                f'"{label}" with value "{item}" is not valid. Use a model id from https://hf.co/models.'
            )


def _datasets(name: str, value: Any, found: Findings) -> None:
    for label, item in _labelled(name, value):
        if not isinstance(item, str):
            found.errors.append(f'"{label}" must be a string')
        elif not _REPO_ID.fullmatch(item):
            found.warnings.append(
                f'"{label}" with value "{item}" is not valid. If possible, use a dataset id from'
                " https://hf.co/datasets."
            )


def _relation(name: str, value: Any, found: Findings) -> None:
    if value not in RELATIONS:
        found.errors.append(f'"{name}" must be one of [{", ".join(RELATIONS)}]')


def _task(name: str, value: Any, found: Findings) -> None:
    if not isinstance(value, str):
        found.errors.append(f'"{name}" must be a string')
    elif value not in TASKS:
        found.warnings.append(f'The pipeline tag "{value}" is not in the official list: {", ".join(TASKS)}')


def _model_index(name: str, value: Any, found: Findings) -> None:
    """The specification in hub-docs, modelcard.md: what is marked there as required."""
    if not isinstance(value, list):
        found.errors.append(f'"{name}" must be an array')
        return
    for i, model in enumerate(value):
        at = f"{name}[{i}]"
        if not _required(model, at, ("name", "results"), found):
            continue
        if not isinstance(model["results"], list):
            found.errors.append(f'"{at}.results" must be an array')
            continue
        for j, result in enumerate(model["results"]):
            _result(result, f"{at}.results[{j}]", found)


def _result(result: Any, at: str, found: Findings) -> None:
    if not _required(result, at, ("task", "dataset", "metrics"), found):
        return
    _required(result["task"], f"{at}.task", ("type",), found)
    _required(result["dataset"], f"{at}.dataset", ("type", "name"), found)
    if not isinstance(result["metrics"], list):
        found.errors.append(f'"{at}.metrics" must be an array')
        return
    for k, metric in enumerate(result["metrics"]):
        _required(metric, f"{at}.metrics[{k}]", ("type", "value"), found)


def _required(value: Any, at: str, names: tuple[str, ...], found: Findings) -> bool:
    if not isinstance(value, dict):
        found.errors.append(f'"{at}" must be of type object')
        return False
    missing = [name for name in names if value.get(name) is None]
    found.errors += [f'"{at}.{name}" is required' for name in missing]
    return not missing


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _labelled(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, list):
        return [(f"{name}[{i}]", item) for i, item in enumerate(value)]
    return [(name, value)]


Rule = Callable[[str, Any, Findings], None]
_SHARED_RULES: dict[str, Rule] = {
    "license": _license,
    "license_name": _string,
    "license_link": _string,
    "language": _language,
    "tags": _strings,
}
_MODEL_RULES: dict[str, Rule] = {
    "base_model": _base_model,
    "base_model_relation": _relation,
    "datasets": _datasets,
    "library_name": _string,
    "pipeline_tag": _task,
    "model-index": _model_index,
}
