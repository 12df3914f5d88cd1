"""From what the user wrote to commits: branches and tags are looked up once, and never used again."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.hub_errors import hub_errors
from hf_soup.checkpoints.reference import ModelRef, PinnedRef
from hf_soup.errors import InputError


def resolve(
    ref: ModelRef | str | Path,
    *,
    token: str | bool | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
) -> list[PinnedRef]:
    """Returns the reference pinned to a commit; several, in natural order, where its subfolder is a pattern.

    `revision`: branch, tag or commit for a reference that names none. Raises InputError for an unknown or inaccessible
    repository, an unknown revision, or a pattern that matches no folder with weights; HubError when the Hub fails.
    """
    parsed = ModelRef.parse(ref, revision)
    if parsed.base is not None:
        return _over_a_base(parsed, parsed.base, token, cache_dir)
    root = _pin_root(parsed, token)
    if parsed.subfolder is None:
        return [root]
    if not parsed.is_glob:
        return [_below(root, parsed.subfolder)]
    folder = _folder(root, token, cache_dir)
    holders = sorted({p.rsplit("/", 1)[0] for p in folder.files if "/" in p and _is_weights(p)}, key=_natural)
    matches = [name for name in holders if fnmatchcase(name, parsed.subfolder)]
    if not matches:
        known = f" Folders with weights: {', '.join(holders[:10])}." if holders else " It has no folders with weights."
        raise InputError(f"'{parsed.text}': no folder of {root.label} matches '{parsed.subfolder}'.{known}")
    return [_below(root, name) for name in matches]


def _over_a_base(
    adapter: ModelRef, base: ModelRef, token: str | bool | None, cache_dir: str | Path | None
) -> list[PinnedRef]:
    found: list[list[PinnedRef]] = []
    problems: list[str] = []
    for ref in (base, replace(adapter, base=None)):
        try:
            found.append(resolve(ref, token=token, cache_dir=cache_dir))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    bases, adapters = found
    if len(bases) != 1:
        raise InputError(f"'{adapter}': '{base}' names {len(bases)} models; the base must be one.")
    return [replace(pinned, base=bases[0]) for pinned in adapters]


def _pin_root(ref: ModelRef, token: str | bool | None) -> PinnedRef:
    if ref.path is not None:
        return PinnedRef(ref.text, path=ref.path.resolve())
    from huggingface_hub import HfApi

    with hub_errors(f"'{ref.text}'"):
        info = HfApi(token=token).model_info(str(ref.repo_id), revision=ref.revision)
    if info.sha is None:
        raise InputError(f"'{ref.text}': the repository is empty, it has no commit.")
    return PinnedRef(ref.text, repo_id=info.id, revision=info.sha)


def _below(root: PinnedRef, subfolder: str) -> PinnedRef:
    if root.path is not None:
        path = root.path / subfolder
        if not path.is_dir():
            raise InputError(f"The folder '{root.path}' has no subfolder '{subfolder}'.")
        return PinnedRef(root.requested, path=path)
    return PinnedRef(root.requested, repo_id=root.repo_id, revision=root.revision, subfolder=subfolder)


def _folder(ref: PinnedRef, token: str | bool | None, cache_dir: str | Path | None) -> ModelFolder:
    return LocalFolder(ref) if ref.path is not None else HubFolder(ref, token, cache_dir)


def _is_weights(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return name.startswith(("model", "pytorch_model", "adapter_model")) and name.endswith((".safetensors", ".bin"))


def _natural(name: str) -> list[tuple[int, int | str]]:
    """checkpoint-9 comes before checkpoint-10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name) if part]
