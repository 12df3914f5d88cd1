"""How mergekit writes a model: `path`, `path@revision`, and `base+adapter` for a LoRA adapter on a base, each with a revision."""

from __future__ import annotations

from pathlib import Path

from hf_soup.checkpoints import ModelRef
from hf_soup.errors import InputError


def mergekit_reference(text: str) -> str | ModelRef:
    """Returns the reference as Soup takes it: an adapter with its base for `base+adapter`, any other text as it is.

    A folder that exists is a folder whatever its name; mergekit 0.1.5 divides such a name and finds neither half. Both sides
    may have `@revision`, and, of us, `:subfolder`. Raises InputError where a + is in the text and it is neither.

    >>> str(mergekit_reference("me/base@v1+me/adapter"))
    'me/base@v1+me/adapter'
    """
    if "+" not in text or _is_folder(text):
        return text
    parts = text.split("+")
    pairs = [("+".join(parts[:cut]), "+".join(parts[cut:])) for cut in range(1, len(parts))]
    pairs = [pair for pair in pairs if all(side and ("+" not in side or _is_folder(side)) for side in pair)]
    if len(pairs) != 1:
        how = "can be divided in several ways" if pairs else "cannot be divided so"
        raise InputError(f"'{text}' is no folder that exists, and as model+adapter it {how}.")
    ((base, adapter),) = pairs
    try:
        return ModelRef.parse(adapter, base=base)
    except InputError as error:
        raise InputError(f"'{text}', read as model+adapter: {' '.join(error.problems)}") from error


def _is_folder(text: str) -> bool:
    """Also `folder:subfolder`."""
    folder, _, below = text.rpartition(":")
    return Path(text).expanduser().is_dir() or (len(folder) > 1 and (Path(folder).expanduser() / below).is_dir())
