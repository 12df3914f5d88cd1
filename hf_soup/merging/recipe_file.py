"""Reading a YAML file into a pydantic model, with every problem named by its key and the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hf_soup.errors import InputError
from hf_soup.merging.nearest import unknown_key

Model = TypeVar("Model", bound=BaseModel)


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win in silence; in a recipe that is a forgotten line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' stands here twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> dict[Any, Any]:
    """Returns the mapping in a YAML file. Raises InputError when it cannot be read or is none."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError as error:
        raise InputError(f"The recipe '{path}' does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path}: {place}is not YAML: {getattr(error, 'problem', None) or error}.") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: is no recipe; it must hold keys such as 'method' and 'models'.")
    return document


def validated(model: type[Model], document: Mapping[Any, Any], known: Mapping[str, Collection[str]]) -> Model:
    """Returns the document as the model. Raises InputError with a sentence for each problem, which begins with its key.

    `known`: the keys of each mapping in the document, by its path without numbers ("", "slices.sources").
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InputError([_sentence(problem, known) for problem in error.errors()]) from error


def key_of(place: Collection[str | int]) -> str:
    """Returns a place in a document as people write it.

    >>> key_of(("models", 1, "weight"))
    'models[1].weight'
    """
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _sentence(problem: Any, known: Mapping[str, Collection[str]]) -> str:
    place, kind = problem["loc"], problem["type"]
    key = key_of(place)
    if kind == "extra_forbidden":
        inside = ".".join(part for part in place[:-1] if isinstance(part, str))
        return f"{key}: {unknown_key(str(place[-1]), known[inside])}"
    if kind == "missing":
        return f"{key}: is missing."
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    return f"{key}: is {problem['input']!r}; {problem['msg'][0].lower()}{problem['msg'][1:]}."
