"""What the Hub tells of a repository: the object behind `model_info` and `dataset_info`."""

from __future__ import annotations

import json
from typing import Any

from hf_soup.localhub.cardrules import metadata
from hf_soup.localhub.content import content_of
from hf_soup.localhub.gitobjects import Commit, iso_date
from hf_soup.localhub.repository import Files, Repository
from hf_soup.localhub.tags import base_models, base_relation, dataset_tags, model_tags, model_task
from hf_soup.localhub.weights import parameter_counts
from hf_soup.localhub.xet import XetStore

Description = dict[str, Any]


def describe(repo: Repository, commit: Commit, xet: XetStore | None, *, blobs: bool = False) -> Description:
    """Everything about one commit; `blobs` adds sizes and ids to the list of files."""
    files = repo.files(commit)
    card = metadata(_text(repo, files, "README.md", xet))
    description: Description = {
        "_id": repo.settings.number,
        "id": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": iso_date(repo.settings.created),
        "private": repo.settings.private,
        "gated": repo.settings.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "siblings": [_sibling(path, files, blobs) for path in files],
        "usedStorage": sum(entry.size for entry in files.values() if entry.sha256),
    }
    if card:
        description["cardData"] = _jsonable(card)
    if repo.type == "dataset":
        return {**description, "tags": dataset_tags(card)}
    return {**description, "modelId": repo.id, "spaces": [], **_of_model(repo, files, card, xet)}


def _of_model(repo: Repository, files: Files, card: dict[str, Any], xet: XetStore | None) -> Description:
    config = _config(repo, files, xet)
    more: Description = {"tags": model_tags(card, config, files)}
    if task := model_task(card, config):
        more["pipeline_tag"] = task
    if library := card.get("library_name"):
        more["library_name"] = str(library)
    if config:
        more["config"] = {name: config[name] for name in ("architectures", "model_type") if name in config}
    if (counts := parameter_counts(repo, files, xet)) is not None:
        more["safetensors"] = {"parameters": counts, "total": sum(counts.values())}
    if "model-index" in card:
        more["model-index"] = _jsonable(card["model-index"])
    if bases := base_models(card):
        more["baseModels"] = {"relation": base_relation(card, files), "models": [{"id": name} for name in bases]}
    return more


def _sibling(path: str, files: Files, blobs: bool) -> Description:
    if not blobs:
        return {"rfilename": path}
    entry = files[path]
    sibling: Description = {"rfilename": path, "blobId": entry.oid, "size": entry.size}
    if entry.sha256:
        sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return sibling


def _config(repo: Repository, files: Files, xet: XetStore | None) -> dict[str, Any]:
    try:
        config = json.loads(_text(repo, files, "config.json", xet) or "{}")
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _text(repo: Repository, files: Files, path: str, xet: XetStore | None) -> str:
    if path not in files:
        return ""
    content = content_of(repo, files[path], xet)
    return content.read(0, content.size).decode("utf-8", "replace")


def _jsonable(value: Any) -> Any:
    """YAML knows dates, JSON does not."""
    return json.loads(json.dumps(value, default=str))
