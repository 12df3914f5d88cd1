"""Descriptions of repositories: one, or a filtered list; and the headers of a sharded model."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.descriptions import describe
from hf_soup.localhub.pages import page
from hf_soup.localhub.permissions import is_member
from hf_soup.localhub.refusals import bad_request, entry_not_found
from hf_soup.localhub.repository import MAIN, Repository
from hf_soup.localhub.routing import Call, hub_routes
from hf_soup.localhub.weights import header_of, index_of, shards_of

_IN_LISTS = [
    "_id",
    "id",
    "modelId",
    "author",
    "sha",
    "lastModified",
    "createdAt",
    "private",
    "gated",
    "disabled",
    "downloads",
    "likes",
    "tags",
    "pipeline_tag",
    "library_name",
]


@hub_routes.add("GET", "/api/{type}")
def list_repos(call: Call) -> Response:
    """Filters: author, search, filter (tags), pipeline_tag, gated; full, cardData, config and expand add fields."""
    shown = [
        repo
        for repo in call.hub.repositories.all(call.repo_type)
        if (not repo.settings.private or is_member(call.user, repo)) and _fits_name(call, repo)
    ]
    rows = [describe(repo, repo.resolve(MAIN), call.hub.xet) for repo in shown]
    rows = [row for row in rows if _fits_content(call, row)]
    order = call.query.get("sort", "lastModified")
    rows.sort(key=lambda row: str(row.get(order, "")), reverse=call.query.get("direction") != "1")
    limit = call.query.get("limit")
    if limit is not None and not limit.isdigit():
        raise bad_request('"limit" must be a number')
    response = page(call, [_listed(call, row) for row in rows], limit=int(limit) if limit else None)
    return response


@hub_routes.add("GET", "/api/{type}/{repo}")
@hub_routes.add("GET", "/api/{type}/{repo}/revision/{rev}")
def describe_repo(call: Call) -> Response:
    repo = call.repo()
    commit = repo.resolve(call.values.get("rev") or MAIN)
    description = describe(repo, commit, call.hub.xet, blobs=call.flag("blobs"))
    if wanted := _expanded(call):
        description = {name: description.get(name) for name in ("_id", "id", *wanted) if name in description}
    return JSONResponse(description, headers={"X-Repo-Commit": commit.oid})


@hub_routes.add("GET", "/api/{type}/{repo}/safetensors-metadata/{path}")
def describe_shards(call: Call) -> Response:
    """The headers of all shards of an index, on `main`."""
    repo = call.repo(content=True)
    commit = repo.resolve(MAIN)
    files, path = repo.files(commit), call.values["path"]
    if path not in files:
        raise entry_not_found(commit.oid)
    folder = path.rpartition("/")[0]
    try:
        index = index_of(repo, files[path], call.hub.xet)
        shards = shards_of(index, f"{folder}/" if folder else "", files)
        headers = {name: header_of(repo, entry, call.hub.xet) for name, entry in shards.items()}
    except ValueError as error:
        raise bad_request(f"{path}: {error}") from None
    return JSONResponse({"index": {"metadata": index.get("metadata")}, "headers": headers})


def _fits_name(call: Call, repo: Repository) -> bool:
    author, search = call.query.get("author"), call.query.get("search")
    return author in (None, repo.namespace) and (search or "").lower() in repo.id.lower()


def _fits_content(call: Call, row: dict[str, Any]) -> bool:
    tags = set(row["tags"])
    task, gated = call.query.get("pipeline_tag"), call.query.get("gated")
    return (
        all(tag in tags for value in call.query.getlist("filter") for tag in value.split(","))
        and task in (None, row.get("pipeline_tag"))
        and (gated is None or (gated.lower() == "true") == bool(row["gated"]))
    )


def _listed(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    wanted = _expanded(call)
    fields = ["_id", "id", *wanted] if wanted else list(_IN_LISTS)
    if call.flag("full"):
        fields.append("siblings")
    if call.flag("cardData"):
        fields.append("cardData")
    if call.flag("config"):
        fields.append("config")
    return {name: row[name] for name in fields if name in row}


def _expanded(call: Call) -> list[str]:
    return [*call.query.getlist("expand"), *call.query.getlist("expand[]")]
