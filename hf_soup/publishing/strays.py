"""Files that a loader would take together with a merge's weights: what `push` removes when it finds one that the merge
does not have, and what `verify` counts against a merge. Both ask here, so that a push always passes its own check."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from hf_soup.checkpoints.side_files import _belongs
from hf_soup.publishing.kinds import RECORD_NAMES

_WEIGHTS = re.compile(r"[^/]+\.(safetensors|bin|pt|pth|pkl|ckpt|h5|msgpack)(\.index\.json)?|adapter_config\.json")
# sentence-transformers' modules; every other folder is loaded only by those who name it.
_MODULE = re.compile(r"\d+_\w+/")
# What a Trainer leaves for going on with the run; loaders of models pass over these names.
_TRAINING_STATE = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state\w*|random_states\w*)\.\w+")
_OTHER_FORMATS = re.compile(r".*\.(safetensors|bin|pt|pth|pkl|ckpt|h5|msgpack|gguf|onnx)")


def strays(paths: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Returns the files that are not `wanted` and that a loader may take with the model: weights, or a file beside them.

    The record of another kind of result is among them: it would say that the repository is something else.
    """
    return [
        path
        for path in paths
        if path not in wanted and (loads_as_weights(path) or loads_beside_weights(path) or path in RECORD_NAMES)
    ]


def unchecked_weights(paths: Iterable[str], wanted: Collection[str]) -> list[str]:
    """Returns weights in a format or folder that nobody loads without naming it: exports, checkpoints of a run.

    They stay where they are, and nothing is said about their content.
    """
    return [
        path
        for path in paths
        if path not in wanted
        and _OTHER_FORMATS.fullmatch(path)
        and not loads_as_weights(path)
        and not _TRAINING_STATE.fullmatch(PurePosixPath(path).name)
    ]


def loads_as_weights(path: str) -> bool:
    """Whether transformers, PEFT or an inference server may take the file for weights of the model, or of a part of it."""
    name = _MODULE.sub("", path, count=1) if _MODULE.match(path) else path
    return bool(_WEIGHTS.fullmatch(name)) and not _TRAINING_STATE.fullmatch(name)


def loads_beside_weights(path: str) -> bool:
    """Whether config, tokenizer, processor or model code may be made from the file, were it there.

    Code in a folder is reached only from code beside the weights, so that scripts of the author's may lie there.
    """
    return _belongs(path) and not (path.endswith(".py") and "/" in path)
