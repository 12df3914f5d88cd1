"""Before a commit: which files are large, and the upload of those (the git-lfs batch protocol, basic and multipart)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.attributes import ATTRIBUTES_FILE, is_large_file
from hf_soup.localhub.content import xet_file
from hf_soup.localhub.gitignore import is_ignored
from hf_soup.localhub.permissions import require_commit, require_write_token
from hf_soup.localhub.refusals import Refusal, bad_request
from hf_soup.localhub.repository import Repository
from hf_soup.localhub.routing import Call, cdn_routes, field, hub_routes

_LFS_JSON = "application/vnd.git-lfs+json"


@hub_routes.add("POST", "/api/{type}/{repo}/preupload/{rev}")
def choose_modes(call: Call) -> Response:
    """`lfs` or `regular` for each path, and the id of what is there now, so that clients can skip what is the same."""
    repo = call.repo()
    require_commit(call.user, repo, as_pull_request=_is_pull_request(call))
    commit = repo.resolve(call.values["rev"])
    files = repo.files(commit)
    attributes = repo.text(files[ATTRIBUTES_FILE]) if ATTRIBUTES_FILE in files else ""
    wanted = call.json()
    ignore = wanted.get("gitIgnore")
    if ignore is None:
        ignore = repo.text(files[".gitignore"]) if ".gitignore" in files else ""
    rows = []
    for file in field(wanted, "files", list):
        path, size = field(file, "path", str), field(file, "size", int)
        large = size > 0 and (
            is_large_file(path, attributes) or size > call.hub.lfs_threshold or _is_binary(file.get("sample", ""))
        )
        row = {
            "path": path,
            "uploadMode": "lfs" if large else "regular",
            "shouldIgnore": is_ignored(path, ignore),
        }
        if path in files:
            row["oid"] = files[path].sha256 or files[path].oid
        rows.append(row)
    return JSONResponse({"files": rows, "commitOid": commit.oid})


@hub_routes.add("POST", r"/{prefix}{repo}\.git/info/lfs/objects/batch")
def plan_transfers(call: Call) -> Response:
    """Where to put each object; no action for those that are here already."""
    repo = call.repo()
    # Not bound to members: whoever opens a pull request uploads before the hub knows that it will be one.
    require_write_token(call.user)
    wanted = call.json()
    if wanted.get("operation") != "upload":
        raise bad_request("This hub answers LFS batches for uploads only; download by /resolve/")
    multipart = call.hub.multipart_chunk is not None and "multipart" in wanted.get("transfers", [])
    objects = []
    for item in field(wanted, "objects", list):
        sha256, size = field(item, "oid", str), field(item, "size", int)
        row: dict[str, Any] = {"oid": sha256, "size": size}
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            row["error"] = {"code": 422, "message": "Invalid oid"}
        elif not repo.large.has(sha256) and xet_file(call.hub.xet, sha256) is None:
            row["authenticated"] = True
            row["actions"] = {
                "upload": _upload_action(call, repo, sha256, size, multipart),
                "verify": {"href": f"{_lfs_address(call, repo)}/verify", "header": {}},
            }
        objects.append(row)
    body = {"transfer": "multipart" if multipart else "basic", "objects": objects}
    return JSONResponse(body, media_type=_LFS_JSON)


@cdn_routes.add("PUT", "/upload/{type}/{repo}/{sha256}", body="file")
def receive(call: Call) -> Response:
    repo = _signed_repository(call)
    assert call.upload is not None
    repo.large.keep(call.upload, call.values["sha256"])
    return Response(headers={"ETag": f'"{call.upload.md5}"'})


@cdn_routes.add("PUT", "/upload/{type}/{repo}/{sha256}/{number}", body="file")
def receive_part(call: Call) -> Response:
    repo = _signed_repository(call)
    assert call.upload is not None
    repo.large.keep_part(call.upload, call.values["sha256"], int(call.values["number"]))
    return Response(headers={"ETag": f'"{call.upload.md5}"'})


@hub_routes.add("POST", "/api/complete_multipart/{type}/{repo}/{sha256}")
def complete(call: Call) -> Response:
    repo = _signed_repository(call)
    sha256 = call.values["sha256"]
    numbers = [field(part, "partNumber", int) for part in field(call.json(), "parts", list)]
    with repo.lock:
        if not repo.large.has(sha256):  # a repeated request whose first answer was lost
            repo.large.join_parts(sha256, numbers, call.hub.incoming)
    return JSONResponse({"success": True})


@hub_routes.add("POST", r"/{prefix}{repo}\.git/info/lfs/objects/verify")
def verify(call: Call) -> Response:
    repo = call.repo()
    wanted = call.json()
    path = repo.large.path(field(wanted, "oid", str))
    if not path.exists():
        raise Refusal(404, "Object not found")
    if path.stat().st_size != wanted.get("size"):
        raise bad_request(f"Object has {path.stat().st_size} bytes, not {wanted.get('size')}")
    return JSONResponse({"message": "ok"}, media_type=_LFS_JSON)


def _upload_action(call: Call, repo: Repository, sha256: str, size: int, multipart: bool) -> dict[str, Any]:
    place = f"{repo.type}s/{repo.id}/{sha256}"
    sign = call.hub.signer.sign
    chunk = call.hub.multipart_chunk
    if not multipart or chunk is None or size <= chunk:
        return {"href": sign(call.hub.cdn, f"/upload/{place}"), "header": {}}
    count = -(-size // chunk)
    parts = {str(i): sign(call.hub.cdn, f"/upload/{place}/{i}") for i in range(1, count + 1)}
    return {
        "href": sign(call.hub.endpoint, f"/api/complete_multipart/{place}"),
        "header": {"chunk_size": str(chunk), **parts},
    }


def _signed_repository(call: Call) -> Repository:
    """The repository of a signed address; no token comes with it, and none is needed."""
    call.hub.signer.check(call.path, call.query)
    repo = call.hub.repositories.find(call.repo_type, call.values["repo"])
    if repo is None:
        raise Refusal(404, "NoSuchKey")
    return repo


def _lfs_address(call: Call, repo: Repository) -> str:
    prefix = "datasets/" if repo.type == "dataset" else ""
    return f"{call.hub.endpoint}/{prefix}{repo.id}.git/info/lfs/objects"


def _is_pull_request(call: Call) -> bool:
    return call.flag("create_pr") or call.values["rev"].startswith("refs/pr/")


def _is_binary(sample: str) -> bool:
    """Git's rule: a NUL byte near the start."""
    try:
        return b"\0" in base64.b64decode(sample)
    except binascii.Error:
        raise bad_request('"sample" is not valid base64') from None
